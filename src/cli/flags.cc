#include "cli/flags.h"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace fairlead::cli {

int parse_flags(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return -1;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // prints the help that was asked for
    // CLI11's own codes are 104 to 109, which say nothing to a script.
    std::fprintf(stderr, "%s: %s. %s --help tells more\n", app.get_name().c_str(), e.what(), app.get_name().c_str());
    return 1;
  }
}

}  // namespace fairlead::cli
