// Quantity: Kubernetes' resource amounts ("100m", "1Gi", "2e3"). Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::mesh {

// The amount in thousandths ("100m" is 100, "1Ki" is 1024000), rounded up as Kubernetes rounds; saturates. Nothing when
// it is not a quantity.
std::optional<int64_t> quantity_milli(std::string_view text);
// The amount in whole units, rounded up ("128Mi" is 134217728, "100m" is 1).
std::optional<int64_t> quantity_value(std::string_view text);
// The spelling Kubernetes stores ("0.1" becomes "100m", "1024Mi" becomes "1Gi"); nothing when it is not a quantity.
std::optional<std::string> quantity_canonical(std::string_view text);

}  // namespace fairlead::mesh
