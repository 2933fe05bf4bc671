// Where a program of this user keeps its state.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::cli {

// Root's lies where services keep their state; everybody else's where their own programs do (XDG).
std::string state_folder(std::string_view name);

}  // namespace fairlead::cli
