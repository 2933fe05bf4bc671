// Where a program of this user keeps its state.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::cli {

// Below XDG_STATE_HOME where that is set; else root's lies where services keep their state, everybody else's where their own programs do.
std::string state_folder(std::string_view name);

}  // namespace fairlead::cli
