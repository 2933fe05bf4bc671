#include "mesh/rules.h"

namespace fairlead::mesh {

void validate_istio(const Kind&, const base::Value&, Problems&) {}
std::vector<std::string> istio_warnings(const Kind&, const base::Value&) { return {}; }

}  // namespace fairlead::mesh
