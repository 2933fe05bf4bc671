// For fuzz targets: protobuf messages changed at random places, Any looked into, so that most inputs are still
// resources that mean something.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <random>
#include <string>
#include <vector>

#include "proxy/config/fields.h"

namespace fairlead::proxy {

class MessageMutator {
 public:
  explicit MessageMutator(unsigned seed) : random_(seed) {}

  void change(google::protobuf::Message& m, int depth = 0) {
    if (auto* any = dynamic_cast<google::protobuf::Any*>(&m)) return change_any(*any, depth);
    const auto* r = m.GetReflection();
    std::vector<const Field*> set;
    r->ListFields(m, &set);
    // Down into what is there, mostly.
    std::vector<const Field*> inside;
    for (const Field* f : set)
      if (f->cpp_type() == Field::CPPTYPE_MESSAGE) inside.push_back(f);
    if (!inside.empty() && depth < 24 && pick(8) != 0) {
      const Field* f = inside[pick(inside.size())];
      return change(f->is_repeated() ? *r->MutableRepeatedMessage(&m, f, static_cast<int>(pick(static_cast<size_t>(r->FieldSize(m, f))))) : *r->MutableMessage(&m, f), depth + 1);
    }
    const auto* d = m.GetDescriptor();
    if (d->field_count() == 0) return;
    const Field* f = !set.empty() && pick(3) != 0 ? set[pick(set.size())] : d->field(static_cast<int>(pick(static_cast<size_t>(d->field_count()))));
    change_field(m, f, depth);
  }

  size_t pick(size_t below) { return random_() % below; }

 private:
  using Field = google::protobuf::FieldDescriptor;

  void change_any(google::protobuf::Any& any, int depth) {
    std::string_view url = any.type_url();
    std::string type(url.substr(url.rfind('/') + 1));
    const auto& tables = field_tables();
    if (type.empty() || pick(24) == 0) type = tables[pick(tables.size())].type;
    const auto* d = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    if (!d) return;
    std::unique_ptr<google::protobuf::Message> inner(google::protobuf::MessageFactory::generated_factory()->GetPrototype(d)->New());
    (void)inner->ParsePartialFromString(any.value());
    change(*inner, depth + 1);
    any.set_type_url("type.googleapis.com/" + type);
    any.set_value(inner->SerializePartialAsString());
  }

  void change_field(google::protobuf::Message& m, const Field* f, int depth) {
    const auto* r = m.GetReflection();
    if (f->is_repeated()) {
      int n = r->FieldSize(m, f);
      switch (n == 0 ? 0 : pick(5)) {
        case 0:
        case 1: return add(m, f, depth);
        case 2: return r->RemoveLast(&m, f);
        case 3: return r->SwapElements(&m, f, static_cast<int>(pick(static_cast<size_t>(n))), n - 1);
        default:  // once more, so that names are there twice
          if (f->cpp_type() == Field::CPPTYPE_MESSAGE && n < 64) r->AddMessage(&m, f)->CopyFrom(r->GetRepeatedMessage(m, f, static_cast<int>(pick(static_cast<size_t>(n)))));
          return;
      }
    }
    if (r->HasField(m, f) && pick(4) == 0) return r->ClearField(&m, f);
    switch (f->cpp_type()) {
      case Field::CPPTYPE_INT32: return r->SetInt32(&m, f, static_cast<int32_t>(number()));
      case Field::CPPTYPE_INT64: return r->SetInt64(&m, f, static_cast<int64_t>(number()));
      case Field::CPPTYPE_UINT32: return r->SetUInt32(&m, f, static_cast<uint32_t>(number()));
      case Field::CPPTYPE_UINT64: return r->SetUInt64(&m, f, number());
      case Field::CPPTYPE_DOUBLE: return r->SetDouble(&m, f, real());
      case Field::CPPTYPE_FLOAT: return r->SetFloat(&m, f, static_cast<float>(real()));
      case Field::CPPTYPE_BOOL: return r->SetBool(&m, f, pick(2) == 0);
      case Field::CPPTYPE_ENUM: return r->SetEnumValue(&m, f, value_of(f));
      case Field::CPPTYPE_STRING: return r->SetString(&m, f, text(r->GetString(m, f)));
      case Field::CPPTYPE_MESSAGE:
        if (depth < 24) change(*r->MutableMessage(&m, f), depth + 1);
        return;
    }
  }

  void add(google::protobuf::Message& m, const Field* f, int depth) {
    const auto* r = m.GetReflection();
    switch (f->cpp_type()) {
      case Field::CPPTYPE_INT32: return r->AddInt32(&m, f, static_cast<int32_t>(number()));
      case Field::CPPTYPE_INT64: return r->AddInt64(&m, f, static_cast<int64_t>(number()));
      case Field::CPPTYPE_UINT32: return r->AddUInt32(&m, f, static_cast<uint32_t>(number()));
      case Field::CPPTYPE_UINT64: return r->AddUInt64(&m, f, number());
      case Field::CPPTYPE_DOUBLE: return r->AddDouble(&m, f, real());
      case Field::CPPTYPE_FLOAT: return r->AddFloat(&m, f, static_cast<float>(real()));
      case Field::CPPTYPE_BOOL: return r->AddBool(&m, f, pick(2) == 0);
      case Field::CPPTYPE_ENUM: return r->AddEnumValue(&m, f, value_of(f));
      case Field::CPPTYPE_STRING: return r->AddString(&m, f, text({}));
      case Field::CPPTYPE_MESSAGE:
        if (depth < 24) change(*r->AddMessage(&m, f), depth + 1);
        return;
    }
  }

  int value_of(const Field* f) { return pick(12) == 0 ? 1000 : f->enum_type()->value(static_cast<int>(pick(static_cast<size_t>(f->enum_type()->value_count()))))->number(); }

  uint64_t number() {
    static constexpr uint64_t kEdges[] = {0, 1, 2, 3, 7, 80, 100, 127, 128, 255, 256, 443, 1000, 65535, 65536, 999'999'999, 1'000'000'000, 0x7fffffff, 0x80000000,
                                          0xffffffff, 9'223'372'036, 9'223'372'037, 315'576'000'000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};
    return pick(4) == 0 ? pick(1000) : kEdges[pick(std::size(kEdges))];
  }
  double real() {
    static constexpr double kEdges[] = {0, 0.5, 1, -1, 99.99, 100, 1e-300, 1e300, -1e19, 1e19};
    return pick(8) == 0 ? std::numeric_limits<double>::quiet_NaN() : pick(8) == 0 ? std::numeric_limits<double>::infinity() : kEdges[pick(std::size(kEdges))];
  }

  std::string text(std::string old) {
    static const std::string kWords[] = {"", "/", "*", "a", "*.a", "a.*", "/a", "/a/", "a.b", "one", "two", "route", "chunked", "127.0.0.1", "10.0.0.1", "::1", "0.0.0.0", "10.0.0.0/8",
                                         "(a|b)*", "[", "\\1", "\\0", "(?i)x", "%REQ(X)%", "%", "%%", "%START_TIME(%s)%", "%DOWNSTREAM_REMOTE_ADDRESS%", ":path", ":method", ":authority",
                                         "host", "content-length", "X-Upper", "x y", "a\r\nb: c", std::string("\0", 1), "\xff\xfe", "h2", "http/1.1", "istio",
                                         "5xx,reset", "outbound|80||a.b", "inbound|80||", std::string(300, 'l')};
    if (old.empty() || pick(3) == 0) return kWords[pick(std::size(kWords))];
    size_t at = pick(old.size());
    switch (pick(4)) {
      case 0: old.erase(at, 1 + pick(4)); break;
      case 1: old.insert(at, kWords[pick(std::size(kWords))]); break;
      case 2: old[at] = static_cast<char>(old[at] ^ (1 << pick(8))); break;
      default: if (old.size() < 4096) old += old.substr(at); break;
    }
    return old;
  }

  std::minstd_rand random_;
};

}  // namespace fairlead::proxy
