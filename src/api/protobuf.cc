#include "api/protobuf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/time.h"

namespace fairlead::api {

using base::Code;
using base::fail;
using base::Result;
using base::Value;

namespace {

struct Message;
struct FieldType {
  enum class Shape : unsigned char { kOne, kList, kMap } shape = Shape::kOne;
  char scalar = 0;                   // a letter of the notation, or 0
  const Message* message = nullptr;
};
struct MessageField {
  uint32_t number;
  std::string_view name;
  FieldType type;
};
struct Message {
  std::vector<MessageField> fields;
};
using Tables = std::map<std::string_view, Message>;

const Tables& tables() {
  static const Tables kTables = [] {
    Tables out;
    // Twice over the text: the second round fills in references to messages that stand further down.
    for (int round = 0; round < 2; ++round) {
      Message* current = nullptr;
      for (auto line : base::split(detail::kProtobufTables, '\n')) {
        const bool more = line.starts_with(' ');
        bool first = !more;
        for (auto word : base::split(base::trim(line), ' ')) {
          if (word.empty()) continue;
          if (first) {
            current = &out[word];
            first = false;
            continue;
          }
          if (!current || round == 0) continue;
          const size_t a = word.find(':'), b = word.find(':', a + 1);
          MessageField f{static_cast<uint32_t>(base::to_int(word.substr(0, a)).value_or(0)), word.substr(a + 1, b - a - 1), {}};
          std::string_view type = word.substr(b + 1);
          if (type.starts_with("[]")) f.type.shape = FieldType::Shape::kList;
          if (type.starts_with("{}")) f.type.shape = FieldType::Shape::kMap;
          if (f.type.shape != FieldType::Shape::kOne) type.remove_prefix(2);
          if (type.size() == 1)
            f.type.scalar = type[0];
          else
            f.type.message = &out[type];
          current->fields.push_back(f);
        }
      }
    }
    return out;
  }();
  return kTables;
}

// Wire format: https://protobuf.dev/programming-guides/encoding
struct Reader {
  std::string_view bytes;
  bool bad = false;

  bool done() const { return bytes.empty() || bad; }
  uint64_t varint() {
    uint64_t out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (bytes.empty()) break;
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return out;
    }
    bad = true;
    return 0;
  }
  std::string_view take(uint64_t count) {
    if (count > bytes.size()) {
      bad = true;
      return {};
    }
    auto out = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return out;
  }
  struct Item {
    uint32_t number = 0;
    unsigned wire = 0;
    uint64_t integer = 0;
    std::string_view text;
  };
  Item next() {
    Item item;
    const uint64_t tag = varint();
    item.number = static_cast<uint32_t>(tag >> 3);
    item.wire = tag & 7;
    switch (item.wire) {
      case 0: item.integer = varint(); break;
      case 1: item.text = take(8); break;
      case 2: item.text = take(varint()); break;
      case 5: item.text = take(4); break;
      default: bad = true;
    }
    return item;
  }
};

// Go's encoder writes the zero of every field that is no pointer; JSON leaves those out. These are pointers, where a zero
// or false was said on purpose.
bool zero_counts(std::string_view name) {
  constexpr std::string_view kPointers[] = {"replicas", "gracePeriodSeconds", "terminationGracePeriodSeconds", "revisionHistoryLimit",
                                            "runAsUser", "runAsGroup", "fsGroup", "tolerationSeconds", "progressDeadlineSeconds",
                                            "automountServiceAccountToken", "enableServiceLinks", "allowPrivilegeEscalation",
                                            "allocateLoadBalancerNodePorts", "orphanDependents", "ready", "serving", "terminating"};
  return std::find(std::begin(kPointers), std::end(kPointers), name) != std::end(kPointers);
}

constexpr int kMaxDepth = 64;

std::optional<Value> decode_message(const Message& message, std::string_view bytes, int depth);

// nullopt: damaged. Null: nothing there (a zero time).
std::optional<Value> decode_scalar(char type, const Reader::Item& item) {
  auto number = [&](uint32_t wanted) -> uint64_t {  // an integer member of a small message
    Reader r{item.text};
    uint64_t out = 0;
    while (!r.done())
      if (auto i = r.next(); i.number == wanted) out = i.integer;
    return out;
  };
  auto text = [&](uint32_t wanted) -> std::string_view {
    Reader r{item.text};
    std::string_view out;
    while (!r.done())
      if (auto i = r.next(); i.number == wanted) out = i.text;
    return out;
  };
  const bool is_varint = item.wire == 0, is_bytes = item.wire == 2;
  switch (type) {
    case 's': return is_bytes ? std::optional<Value>(item.text) : std::nullopt;
    case 'b': return is_varint ? std::optional<Value>(item.integer != 0) : std::nullopt;
    case 'i': return is_varint ? std::optional<Value>(static_cast<int>(static_cast<int32_t>(item.integer))) : std::nullopt;
    case 'l': return is_varint ? std::optional<Value>(static_cast<long>(item.integer)) : std::nullopt;
    case 'd': {
      if (item.wire != 1 || item.text.size() != 8) return std::nullopt;
      double d;
      std::memcpy(&d, item.text.data(), 8);
      return Value(d);
    }
    case 'y': return is_bytes ? std::optional<Value>(base::base64_encode(item.text)) : std::nullopt;
    default: break;
  }
  if (!is_bytes) return std::nullopt;
  switch (type) {
    case 'T':
    case 'M': {
      if (item.text.empty()) return Value();
      const auto seconds = static_cast<int64_t>(number(1));
      constexpr int64_t kYear1 = -62135596800, kYear10000 = 253402300800;
      if (seconds <= kYear1 || seconds >= kYear10000) return Value();
      const base::WallTime time{std::chrono::seconds(seconds)};
      return Value(type == 'T' ? base::format_rfc3339(time)
                               : base::format_rfc3339_micro(time + std::chrono::microseconds(static_cast<int32_t>(number(2)) / 1000)));
    }
    case 'D': return Value(base::format_duration(base::Nanos(static_cast<int64_t>(number(1)))));
    case 'Q': return Value(text(1));
    case 'O': return number(1) == 1 ? Value(text(3)) : Value(static_cast<int>(static_cast<int32_t>(number(2))));
    case 'J': {
      auto parsed = base::parse_json(text(1));
      return parsed ? *parsed : Value();
    }
    case 'E': {
      Value list = Value::array();
      Reader r{item.text};
      while (!r.done()) list.push(r.next().text);
      return list;
    }
    default: return std::nullopt;
  }
}

std::optional<Value> decode_one(const FieldType& type, const Reader::Item& item, int depth) {
  if (type.scalar) return decode_scalar(type.scalar, item);
  if (item.wire != 2) return std::nullopt;
  return decode_message(*type.message, item.text, depth + 1);
}

std::optional<Value> decode_message(const Message& message, std::string_view bytes, int depth) {
  if (depth > kMaxDepth) return std::nullopt;
  Value out = Value::object();
  Reader r{bytes};
  while (!r.done()) {
    const auto item = r.next();
    if (r.bad) return std::nullopt;
    auto field = std::find_if(message.fields.begin(), message.fields.end(), [&](const MessageField& f) { return f.number == item.number; });
    if (field == message.fields.end()) continue;  // newer than our tables, or without a use here
    if (field->type.shape == FieldType::Shape::kMap) {
      Reader entry{item.text};
      std::string_view key;
      std::optional<Value> value;
      while (!entry.done()) {
        auto part = entry.next();
        if (part.number == 1) key = part.text;
        if (part.number == 2) value = decode_one(field->type, part, depth);
      }
      if (entry.bad) return std::nullopt;
      out[field->name].set(key, value ? std::move(*value) : Value(""));
      continue;
    }
    auto value = decode_one(field->type, item, depth);
    if (!value) return std::nullopt;
    if (field->type.shape == FieldType::Shape::kList) {
      out[field->name].push(std::move(*value));
    } else if (field->name == "-") {
      for (auto& m : value->mutable_members()) out.set(m.key, std::move(m.value));
    } else if (!value->is_null()) {
      const bool zero = (value->is_string() && value->as_string().empty()) || (value->is_number() && value->as_double() == 0) ||
                        (value->is_bool() && !value->as_bool());
      if (!zero || (!value->is_string() && zero_counts(field->name)) || field->type.scalar == 'O') out.set(field->name, std::move(*value));
    }
  }
  if (r.bad) return std::nullopt;
  return out;
}

}  // namespace

Result<Value> decode_protobuf(std::string_view body) {
  constexpr std::string_view kMagic("k8s\0", 4);
  if (!body.starts_with(kMagic)) return fail(Code::kInvalidArgument, "the body does not begin as Kubernetes' protobuf does");
  Reader envelope{body.substr(kMagic.size())};
  std::string_view raw, api_version, kind;
  while (!envelope.done()) {
    const auto item = envelope.next();
    if (item.number == 2) raw = item.text;
    if (item.number != 1) continue;
    Reader type{item.text};
    while (!type.done()) {
      const auto part = type.next();
      if (part.number == 1) api_version = part.text;
      if (part.number == 2) kind = part.text;
    }
  }
  if (envelope.bad) return fail(Code::kInvalidArgument, "the protobuf envelope is damaged");
  std::string group(api_version.substr(0, api_version.find('/') == std::string_view::npos ? 0 : api_version.find('/')));
  group = group.empty() ? "core" : group.substr(0, group.find('.'));
  // Options travel under the version of the object they are for.
  const std::string name = kind == "DeleteOptions" ? "meta.DeleteOptions" : group + "." + std::string(kind);
  auto it = tables().find(name);
  if (it == tables().end())
    return fail(Code::kInvalidArgument, "{} of {} is not known in protobuf; send JSON", kind, api_version);
  auto decoded = decode_message(it->second, raw, 0);
  if (!decoded) return fail(Code::kInvalidArgument, "the protobuf body of {} is damaged", kind);
  Value out = Value::object({{"kind", kind}, {"apiVersion", api_version}});
  for (auto& m : decoded->mutable_members()) out.set(m.key, std::move(m.value));
  return out;
}

}  // namespace fairlead::api
