#include "control/analysis/references.h"

#include "control/analysis/context.h"

namespace fairlead::control {

std::vector<std::string> reference_warnings(const base::Value& object, const ListObjects& list) {
  std::vector<std::string> out;
  if (object["kind"].as_string() != "VirtualService") return out;
  std::vector<Item> items;
  auto add = [&](const base::Value& o, const char* api_version, const char* kind, bool silent) {
    Item item;
    item.object = o;
    item.object.set("apiVersion", api_version).set("kind", kind);
    item.silent = silent;
    items.push_back(std::move(item));
  };
  for (const auto& o : list("services")) add(*o, "v1", "Service", true);
  for (const auto& o : list("serviceentries.networking.istio.io")) add(*o, "networking.istio.io/v1", "ServiceEntry", true);
  for (const auto& o : list("destinationrules.networking.istio.io")) add(*o, "networking.istio.io/v1", "DestinationRule", true);
  add(object, "networking.istio.io/v1", "VirtualService", false);
  AnalysisOptions options;
  AnalysisContext context(items, options);
  analyze_virtual_services(context);
  for (const Message& m : context.take()) {
    // Gateways are often written after the routes that name them; analyze speaks of those.
    bool destination = m.code == "IST0101" && m.text.starts_with("Referenced ") && !m.text.starts_with("Referenced gateway");
    if (destination) out.push_back(fmt::format("[{}] {} (requests to it are answered 503 until it is there)", m.code, m.text));
  }
  return out;
}

}  // namespace fairlead::control
