#include "proxy/config/workload.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>

#include "base/strings.h"
#include "xds/struct_value.h"

namespace fairlead::proxy {

Workload Workload::from_metadata(const base::Value& m) {
  const auto& labels = m["LABELS"];
  auto first = [&](const char* qualified, const char* plain) { return labels[qualified].string_or(labels[plain].as_string()); };
  Workload w;
  w.instance = m["NAME"].as_string();
  w.name = m["WORKLOAD_NAME"].as_string();
  w.ns = m["NAMESPACE"].as_string();
  w.cluster = m["CLUSTER_ID"].as_string();
  w.identity = m["IDENTITY"].as_string();
  w.owner = m["OWNER"].as_string();
  w.istio_version = m["ISTIO_VERSION"].as_string();
  w.canonical_name = labels["service.istio.io/canonical-name"].as_string();
  w.canonical_revision = labels["service.istio.io/canonical-revision"].as_string();
  w.app = first("app.kubernetes.io/name", "app");
  w.version = first("app.kubernetes.io/version", "version");
  return w;
}

std::shared_ptr<const Workload> Workload::from_endpoint(std::string_view text) {
  auto parts = base::split(text, ';');
  if (parts.size() < 5) return nullptr;
  auto w = std::make_shared<Workload>();
  w->name = parts[0];
  w->ns = parts[1];
  w->canonical_name = parts[2];
  w->canonical_revision = parts[3];
  w->cluster = parts[4];
  return w;
}

std::shared_ptr<const Workload> Workload::from_header(std::string_view value) {
  std::string padded(value);
  while (padded.size() % 4) padded += '=';
  auto bytes = base::base64_decode(padded);
  google::protobuf::Struct fields;
  if (!bytes || !fields.ParseFromString(*bytes)) return nullptr;
  return std::make_shared<const Workload>(from_metadata(xds::to_value(fields)));
}

std::string Workload::to_header() const {
  base::Value labels = base::Value::object();
  auto set = [](base::Value& to, const char* key, const std::string& text) {
    if (!text.empty()) to.set(key, text);
  };
  set(labels, "service.istio.io/canonical-name", canonical_name);
  set(labels, "service.istio.io/canonical-revision", canonical_revision);
  set(labels, "app", app);
  set(labels, "version", version);
  base::Value out = base::Value::object();
  set(out, "NAME", instance);
  set(out, "NAMESPACE", ns);
  set(out, "WORKLOAD_NAME", name);
  set(out, "CLUSTER_ID", cluster);
  set(out, "IDENTITY", identity);
  set(out, "OWNER", owner);
  out.set("LABELS", std::move(labels));
  google::protobuf::Struct fields;
  xds::to_struct(out, fields);
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    fields.SerializeToCodedStream(&coded);
  }
  return base::base64_encode(bytes);
}

}  // namespace fairlead::proxy
