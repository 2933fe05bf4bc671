// Runs a program with text on its standard input. Loop thread only (run_command) or anywhere (run_command_blocking).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "io/loop.h"

namespace fairlead::node {

struct CommandResult {
  int exit_code = 0;      // 128 + signal when killed; 127 when there is no such program
  std::string output;     // standard output and error together
};

void run_command(io::Loop& loop, const std::vector<std::string>& argv, std::string_view input, std::function<void(CommandResult)> done);
CommandResult run_command_blocking(const std::vector<std::string>& argv, std::string_view input);

}  // namespace fairlead::node
