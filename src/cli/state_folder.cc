#include "cli/state_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace fairlead::cli {

static std::string home_folder() {
  if (const char* home = std::getenv("HOME"); home && *home) return home;
  if (const passwd* pw = ::getpwuid(::geteuid()); pw && pw->pw_dir) return pw->pw_dir;
  return "";
}

std::string state_folder(std::string_view name) {
  std::string folder = home_folder() + "/.local/state/fairlead/";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state == '/') folder = std::string(state) + "/fairlead/";
  else if (::geteuid() == 0) folder = "/var/lib/fairlead/";
  return folder.append(name);
}

}  // namespace fairlead::cli
