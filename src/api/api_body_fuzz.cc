// What a caller may send as a body: protobuf, and patches of each kind over a pod.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/patch.h"
#include "api/protobuf.h"
#include "api/request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)api::decode_protobuf(bytes);
  (void)api::parse_target(bytes);
  (void)api::parse_accept(bytes);
  auto patch = base::parse_json(bytes);
  if (!patch) return 0;
  static const base::Value kPod = *base::parse_json(
      R"({"metadata":{"labels":{"a":"b"},"finalizers":["x","y"]},"spec":{"containers":[{"name":"a","ports":[{"containerPort":1}]},{"name":"b"}]}})");
  const mesh::Schema* root = mesh::find_kind("", "v1", "pods")->root;
  (void)api::json_patch(kPod, *patch);
  (void)api::merge_patch(kPod, *patch);
  (void)api::strategic_merge(root, kPod, *patch);
  if (patch->is_object()) (void)api::apply_merge(root, kPod, *patch);
  return 0;
}
