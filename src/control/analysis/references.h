// What a VirtualService refers to and is not there: accepted all the same, but worth a warning when it is written.
// Pure function but for the look-ups; any thread that may call them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace fairlead::control {

// All objects of a kind, by the store's name for it ("services", "destinationrules.networking.istio.io").
using ListObjects = std::function<std::vector<std::shared_ptr<const base::Value>>(std::string_view resource)>;

// One sentence a missing host, port or subset: `[IST0101] Referenced host not found: "x" ...`. Empty for other kinds.
std::vector<std::string> reference_warnings(const base::Value& object, const ListObjects& list);

}  // namespace fairlead::control
