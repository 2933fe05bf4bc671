// Resources as a person or a client sends them: YAML or JSON of any shape through decoding, defaults, validation, tables.
#include <cstdint>
#include <cstdlib>

#include "mesh/selector.h"
#include "mesh/validate.h"

using namespace fairlead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<base::DuplicateKey> duplicates;
  base::ParseOptions options;
  options.duplicates = &duplicates;
  options.max_bytes = 1 << 20;
  auto docs = base::parse_yaml(text, "fuzz", options);
  if (!docs) return 0;
  for (base::Value& doc : *docs) {
    const mesh::Kind* kind = mesh::find_kind_of(doc);
    if (!kind) continue;
    auto shape = mesh::check_shape(*kind, doc, &duplicates);
    (void)mesh::shape_status(*kind, kind->versions.front(), "x", shape).dump();
    if (!shape.empty()) continue;
    mesh::apply_defaults(*kind, doc);
    auto problems = mesh::validate_create(*kind, doc);
    (void)mesh::invalid_status(*kind, "x", problems).dump();
    (void)mesh::warnings(*kind, doc);
    for (const mesh::Column& c : kind->columns) (void)mesh::table_cell(c, doc, {});
    // What was stored must decode again, and defaults must be at rest.
    base::Value again = doc;
    mesh::apply_defaults(*kind, again);
    if (!(again == doc)) std::abort();
    if (!mesh::check_shape(*kind, again).empty()) std::abort();
  }
  if (auto s = mesh::LabelSelector::parse(text.substr(0, 4096))) {
    auto round = mesh::LabelSelector::parse(s->text());
    if (!round) std::abort();
  }
  return 0;
}
