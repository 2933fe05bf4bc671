#include "proxy/header_mutation.h"

namespace fairlead::proxy {

static void add_value(const HeaderMutation::Add& what, std::string_view value, HeaderMap& to) {
  switch (what.append) {
    case HeaderMutation::Append::kAppend:
      to.add(what.name, value);
      break;
    case HeaderMutation::Append::kAddIfAbsent:
      if (!to.has(what.name)) to.add(what.name, value);
      break;
    case HeaderMutation::Append::kOverwrite:
      to.set(what.name, value);
      break;
    case HeaderMutation::Append::kOverwriteIfExists:
      if (to.has(what.name)) to.set(what.name, value);
      break;
  }
}

void add_header(const HeaderMutation::Add& what, HeaderMap& to, const StreamInfo& info) {
  std::string value;
  what.value.append(value, info);
  if (!value.empty() || what.keep_empty) add_value(what, value, to);
}

void add_request_header(const HeaderMutation::Add& what, RequestHeaders& to, const StreamInfo& info) {
  std::string value;
  what.value.append(value, info);
  if (value.empty() && !what.keep_empty) return;
  if (what.name == "host" || what.name == ":authority") to.authority = to.fields.store(value);
  else add_value(what, value, to.fields);
}

}  // namespace fairlead::proxy
