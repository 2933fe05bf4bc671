#include "proxy/log/access_log.h"

#include "base/value.h"
#include "proxy/log/access_log_command.h"

namespace fairlead::proxy {

// A JSON format by its keys, for those that may be missing from a line.
struct LogTree {
  std::string key;                     // in its object, ready to be printed; of an item empty
  char open = 0;                       // '{' or '['; 0: a leaf
  LogFormat leaf;
  std::vector<LogTree> children;
};

using base::Code;
using base::fail;
using base::Result;
using base::Status;

const std::string_view kIstioLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    "%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

const std::string_view kEnvoyLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

LogFormat::LogFormat() = default;
LogFormat::~LogFormat() = default;
LogFormat::LogFormat(const LogFormat&) = default;
LogFormat::LogFormat(LogFormat&&) noexcept = default;
LogFormat& LogFormat::operator=(const LogFormat&) = default;
LogFormat& LogFormat::operator=(LogFormat&&) noexcept = default;

namespace {

LogPiece raw(std::string text, LogShape shape = LogShape::kText) {
  LogPiece p;
  p.shape = shape;
  p.text = std::move(text);
  return p;
}

Status parse_node(const base::Value& node, std::vector<LogPiece>& out) {
  auto put = [&](std::string text) { out.push_back(raw(std::move(text))); };
  if (node.is_object()) {
    put("{");
    bool first = true;
    for (const auto& m : node.members()) {
      std::string key;
      if (!first) key += ',';
      base::append_json_string(key, m.key);
      key += ':';
      put(std::move(key));
      first = false;
      if (auto ok = parse_node(m.value, out); !ok) return ok;
    }
    put("}");
    return {};
  }
  if (node.is_array()) {
    put("[");
    bool first = true;
    for (const auto& item : node.items()) {
      if (!first) put(",");
      first = false;
      if (auto ok = parse_node(item, out); !ok) return ok;
    }
    put("]");
    return {};
  }
  if (!node.is_string()) {
    put(node.dump());
    return {};
  }
  std::vector<LogPiece> parts;
  if (auto ok = parse_log_text(node.as_string(), LogShape::kJsonString, parts); !ok) return ok;
  if (parts.size() == 1 && parts[0].command != LogCommand::kLiteral) {
    parts[0].shape = LogShape::kJsonValue;
    out.push_back(std::move(parts[0]));
    return {};
  }
  put("\"");
  for (LogPiece& p : parts) out.push_back(std::move(p));
  put("\"");
  return {};
}

auto printer(LogCommand command) {
  if (command < LogCommand::kDownstreamLocalIp) return &request_value;
  return command < LogCommand::kStartTime ? &connection_value : &time_value;
}

}  // namespace

LogFormat LogFormat::literal(std::string_view text) {
  LogFormat f;
  f.tail_ = text;
  return f;
}

bool LogFormat::constant() const { return pieces_.empty(); }

// Text that stands before a command goes with it, ready to be printed.
void LogFormat::finish() {
  std::vector<LogPiece> commands;
  std::string before;
  for (LogPiece& p : pieces_) {
    if (p.command == LogCommand::kLiteral) {
      if (p.shape == LogShape::kText) {
        before += p.text;
      } else {
        std::string quoted;
        base::append_json_string(quoted, p.text);
        before.append(quoted, 1, quoted.size() - 2);
      }
      continue;
    }
    needs_ |= needs_of(p);
    if (p.command == LogCommand::kDash && !p.fallback.empty()) unfilled_.push_back(p.fallback);
    p.print = printer(p.command);
    p.before = std::exchange(before, {});
    commands.push_back(std::move(p));
  }
  pieces_ = std::move(commands);
  tail_ = std::move(before);
}

Result<LogFormat> LogFormat::parse(std::string_view text) {
  LogFormat f;
  if (auto ok = parse_log_text(text, LogShape::kText, f.pieces_); !ok) return std::unexpected(ok.error());
  f.finish();
  return f;
}

Result<LogFormat> LogFormat::parse_json(const base::Value& object, bool omit_empty) {
  LogFormat f;
  if (!object.is_object()) return fail(Code::kInvalidArgument, "a JSON format must be an object");
  if (auto ok = parse_node(object, f.pieces_); !ok) return std::unexpected(ok.error());
  f.pieces_.push_back(raw("\n"));
  f.finish();
  f.empty_values_omitted = omit_empty;
  if (!omit_empty) return f;
  auto tree = make_tree(object);
  if (!tree) return std::unexpected(tree.error());
  f.tree_ = std::make_shared<const LogTree>(std::move(*tree));
  return f;
}

Result<LogTree> LogFormat::make_tree(const base::Value& node) {
  LogTree tree;
  if (!node.is_object() && !node.is_array()) {
    if (auto ok = parse_node(node, tree.leaf.pieces_); !ok) return std::unexpected(ok.error());
    tree.leaf.finish();
    tree.leaf.empty_values_omitted = true;
    return tree;
  }
  tree.open = node.is_object() ? '{' : '[';
  auto add = [&](std::string key, const base::Value& value) -> Status {
    auto child = make_tree(value);
    if (!child) return std::unexpected(child.error());
    child->key = std::move(key);
    tree.children.push_back(std::move(*child));
    return {};
  };
  if (node.is_object()) {
    for (const auto& m : node.members()) {
      std::string key;
      base::append_json_string(key, m.key);
      if (auto ok = add(key + ":", m.value); !ok) return std::unexpected(ok.error());
    }
  } else {
    for (const auto& item : node.items())
      if (auto ok = add({}, item); !ok) return std::unexpected(ok.error());
  }
  return tree;
}

// False: there was nothing to print, and nothing was. An empty list stays, as in Envoy.
bool LogFormat::append_tree(const LogTree& tree, std::string& out, const StreamInfo& info) {
  size_t start = out.size();
  if (!tree.open) {
    tree.leaf.append(out, info);
    if (std::string_view(out).substr(start) != "null") return true;
    out.resize(start);
    return false;
  }
  out += tree.open;
  bool any = false;
  for (const LogTree& child : tree.children) {
    size_t before = out.size();
    if (any) out += ',';
    out += child.key;
    if (append_tree(child, out, info)) any = true;
    else out.resize(before);
  }
  if (!any && tree.open == '{') {
    out.resize(start);
    return false;
  }
  out += tree.open == '{' ? '}' : ']';
  return true;
}

void LogFormat::append(std::string& out, const StreamInfo& info) const {
  if (tree_) {
    out += append_tree(*tree_, out, info) ? "\n" : "{}\n";
    return;
  }
  for (const LogPiece& piece : pieces_) {
    out += piece.before;
    bool number = false;
    if (piece.shape == LogShape::kText) {
      size_t before = out.size();
      if (!piece.print(piece, info, out, number)) {
        if (!empty_values_omitted) out += '-';
      } else if (piece.max_length && out.size() - before > piece.max_length) {
        out.resize(before + piece.max_length);
      }
      continue;
    }
    append_json(piece, out, info);
  }
  out += tail_;
}

void LogFormat::append_json(const LogPiece& piece, std::string& out, const StreamInfo& info) const {
  bool number = false;
  std::string printed;
  bool found = piece.print(piece, info, printed, number);
  bool whole = number && piece.command == LogCommand::kMetadata && piece.shape == LogShape::kJsonValue;  // JSON is not cut
  if (piece.max_length && printed.size() > piece.max_length && !whole) printed.resize(piece.max_length);
  if (piece.shape == LogShape::kJsonValue) {
    if (!found) out += "null";
    else if (number) out += printed;
    else base::append_json_string(out, printed);
    return;
  }
  if (!found) printed.assign(empty_values_omitted ? 0 : 1, '-');
  std::string quoted;
  base::append_json_string(quoted, printed);
  out.append(quoted, 1, quoted.size() - 2);
}

}  // namespace fairlead::proxy
