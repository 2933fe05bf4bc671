// How every subcommand reads its flags.
#pragma once

namespace CLI {
class App;
}

namespace fairlead::cli {

// -1: go on. Else the exit code: 0 after --help, 1 after a sentence on standard error that says what is wrong.
int parse_flags(CLI::App& app, int argc, char** argv);

}  // namespace fairlead::cli
