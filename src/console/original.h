// Answers in the shape of sentinel-dashboard's Result. Loop thread only.
#pragma once

#include <string_view>

#include "console/request.h"

namespace fairlead::console::original {

void answer(const RequestPtr& request, base::Value data);
void refuse(const RequestPtr& request, int code, std::string_view message);

}  // namespace fairlead::console::original
