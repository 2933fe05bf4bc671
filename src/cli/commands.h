// The subcommands of the fairlead binary. Each lives in its own cmd_*.cc, parses its own arguments (argv[0] is the
// subcommand's name) and returns the process's exit code.
#pragma once

#include <span>
#include <string_view>

namespace fairlead::cli {

struct Command {
  std::string_view name;
  std::string_view summary;               // one line for `fairlead --help`; empty: not shown
  int (*run)(int argc, char** argv);
};

std::span<const Command> commands();      // the table in main.cc

// Version printed by `fairlead version` and used in user agents.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace fairlead::cli
