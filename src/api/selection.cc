#include "api/selection.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

namespace fairlead::api {

bool Selection::matches(const base::Value& object) const {
  return (labels.empty() || labels.matches(object["metadata"]["labels"])) && (fields.empty() || fields.matches(object));
}

// The fields that Kubernetes can select by, beside metadata.name and metadata.namespace.
static const std::set<std::string_view>* selectable(const mesh::Kind& kind) {
  static const std::map<std::string_view, std::set<std::string_view>> kFields = {
      {"pods", {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
                "status.phase", "status.podIP", "status.nominatedNodeName"}},
      {"events", {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                  "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                  "reportingComponent", "source", "type"}},
      {"nodes", {"spec.unschedulable"}},
      {"namespaces", {"status.phase"}},
      {"secrets", {"type"}},
      {"services", {"spec.clusterIP", "spec.type"}},
      {"replicasets.apps", {"status.replicas"}},
  };
  auto it = kFields.find(kind.resource());
  return it == kFields.end() ? nullptr : &it->second;
}

Outcome<Selection> parse_selection(const Request& request) {
  Selection out;
  auto labels = mesh::LabelSelector::parse(request.query("labelSelector"));
  if (!labels) return refuse(bad_request(labels.error().message));
  out.labels = std::move(*labels);
  auto fields = mesh::FieldSelector::parse(request.query("fieldSelector"));
  if (!fields) return refuse(bad_request(fields.error().message));
  const auto* known = request.kind ? selectable(*request.kind) : nullptr;
  for (const auto& term : fields->terms())
    if (term.path != "metadata.name" && term.path != "metadata.namespace" && (!known || !known->contains(term.path)))
      return refuse(bad_request(known ? fmt::format("field label not supported: {}", term.path)
                                      : fmt::format("\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", term.path)));
  out.fields = std::move(*fields);
  return out;
}

}  // namespace fairlead::api
