// Answers of our own: errors, direct responses, redirects. Texts, flags and details are Envoy's.
#include "http/grpc.h"
#include "proxy/exchange.h"

namespace fairlead::proxy {

void Exchange::reply(int status, std::string_view body, std::string_view details, uint32_t flag, bool overloaded) {
  if (state_ == State::kOver || response_begun_) return;
  abandon_attempt();
  state_ = State::kReplying;
  for (auto* timer : {&timeout_, &try_timeout_, &try_idle_, &retry_})
    if (*timer) (*timer)->cancel();
  for (auto& [filter, state] : filter_states_) state->cancel();
  response_begun_ = true;
  if (!request_complete_) {
    response_.close = true;  // on HTTP/1.1 the rest of the request would be in the way
    ++stats_->downstream_rq_response_before_rq_complete;
  }
  if (std::exchange(upgrade_, false)) request_complete_ = true;
  info_.flags |= flag;
  info_.details = details;
  info_.response_first = since_start();
  response_.status = status;
  if (overloaded && !config_->suppress_envoy_headers) response_.fields.add_view("x-envoy-overloaded", "true");
  bool grpc = http::is_grpc_type(request_.fields.get("content-type"));
  if (grpc && status / 100 != 3) {
    // A gRPC client reads the status from trailers; a response of one head counts as them.
    response_.status = 200;
    response_.fields.set("content-type", "application/grpc");
    if (!response_.fields.has("grpc-status"))
      response_.fields.add("grpc-status", std::to_string(status == 200 ? 0 : http::grpc_status_from_http(status)));
    if (!body.empty()) response_.fields.add("grpc-message", body);
    body = {};
  } else if (!body.empty()) {
    if (!response_.fields.has("content-type")) response_.fields.add_view("content-type", "text/plain");
  }
  if (config_->local_reply && !grpc) {
    std::string mapped(body);
    map_reply(mapped);
    return send_reply(mapped);
  }
  send_reply(body);
}

// local_reply_config: the first mapper that matches changes status, body and fields; a format, its own or the general
// one, makes the body.
void Exchange::map_reply(std::string& body) {
  const LocalReply& config = *config_->local_reply;
  info_.status = response_.status;
  info_.response = &response_;
  const std::optional<LogFormat>* format = &config.format;
  const std::string* type = &config.content_type;
  for (const LocalReply::Mapper& m : config.mappers) {
    if (!passes(m.filter, info_)) continue;
    apply(m.headers.response_add, {}, response_.fields);
    if (m.status) info_.status = response_.status = *m.status;
    if (m.body) body = *m.body;
    if (m.format) format = &m.format, type = &m.content_type;
    break;
  }
  if (*format) {
    std::string out;
    info_.local_reply_body = body;
    (*format)->append(out, info_);
    info_.local_reply_body = {};
    body = std::move(out);
    response_.fields.set("content-type", *type);
  } else if (!body.empty() && !response_.fields.has("content-type")) {
    response_.fields.add_view("content-type", "text/plain");
  }
}

void Exchange::send_reply(std::string_view body) {
  bool head_only = request_.method == "HEAD";
  if (!body.empty()) response_.fields.set("content-length", std::to_string(body.size()));
  prepare_response_headers(true, body.empty() || head_only);
  std::string changed;
  if (!response_watchers_.empty() && !body.empty()) {
    changed = body;
    filter_response_data(changed);
    filter_response_end(changed, nullptr);
    body = changed;
  }
  bool end = body.empty() || head_only;
  downstream_->send_head(response_, end);
  if (!end) {
    info_.bytes_sent += body.size();
    downstream_->send_data(body);
    downstream_->send_end(nullptr);
  }
  response_complete_ = true;
  check_done();
}

void Exchange::reply_direct() {
  ++stats_->rq_direct_response;
  if (route_->action == Route::Action::kNone) return reply(500, {}, "non_forwarding_action", 0);
  reply(route_->direct_status, route_->direct_body, "direct_response", 0);
}

void Exchange::reply_redirect() {
  const Route& r = *route_;
  ++stats_->rq_redirect;
  std::string_view scheme = !r.redirect_scheme.empty() ? std::string_view(r.redirect_scheme) : r.redirect_https ? "https" : request_.scheme;
  std::string authority = r.redirect_host.empty() ? std::string(request_.authority) : r.redirect_host;
  size_t colon = authority.rfind(':');
  bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
  if (r.redirect_port) {
    if (has_port) authority.resize(colon);
    authority += ":" + std::to_string(r.redirect_port);
  } else if (r.redirect_host.empty() && has_port && scheme != request_.scheme) {
    // The old scheme's default port makes no sense under the new one.
    std::string_view port = std::string_view(authority).substr(colon + 1);
    if ((request_.scheme == "http" && port == "80") || (request_.scheme == "https" && port == "443")) authority.resize(colon);
  }
  std::string_view path = request_.path();
  std::string_view query = request_.target.substr(path.size());
  std::string target;
  if (!r.redirect_path.empty()) {
    target = r.redirect_path;
    if (target.find('?') != std::string::npos) query = {};
  } else if (!r.redirect_prefix.empty()) {
    target = r.redirect_prefix + std::string(path.substr(std::min(path.size(), r.path.text.size())));
  } else if (r.redirect_regex) {
    target = r.redirect_regex->regex->replace_all(path, r.redirect_regex->substitution);
  } else {
    target = path;
  }
  if (!r.strip_query) target += query;
  response_.fields.add("location", fmt::format("{}://{}{}", scheme, authority, target));
  reply(r.redirect_status, {}, "direct_response", 0);
}

}  // namespace fairlead::proxy
