// envoy.filters.http.grpc_web: gRPC-Web from browsers to gRPC and back. The frames are the same; trailers become a last
// frame of the body, and the text form is base64 around it all. Source: github.com/grpc/grpc, doc/PROTOCOL-WEB.md.
#include "base/strings.h"
#include "http/grpc.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {
namespace {

struct Web final : FilterState {
  bool text_request = false, text_response = false;
  std::string request_rest, response_rest;  // what does not fill a group of base64 yet
};

bool is_text(std::string_view type) { return type.starts_with("application/grpc-web-text"); }
bool is_web(std::string_view type) {
  if (!type.starts_with("application/grpc-web")) return false;
  std::string_view rest = type.substr(std::string_view("application/grpc-web").size());
  return rest.empty() || rest[0] == '+' || rest[0] == ';' || rest.starts_with("-text");
}

class GrpcWeb final : public Filter {
 public:
  explicit GrpcWeb(std::string name) : Filter(std::move(name), kRequest | kResponse) {}

  Next on_request(Exchange& x) const override {
    HeaderMap& fields = x.request().fields;
    std::string_view type = fields.get("content-type");
    if (!is_web(type)) return Next::kGoOn;
    auto state = std::make_unique<Web>();
    state->text_request = is_text(type);
    state->text_response = is_text(fields.get("accept"));
    if (state->text_request) x.watch_request_body(*this);
    x.keep(*this, std::move(state));
    fields.remove("content-length");
    fields.set("content-type", "application/grpc");
    fields.set("te", "trailers");
    fields.set("grpc-accept-encoding", "identity,deflate,gzip");
    return Next::kGoOn;
  }

  void on_request_data(Exchange& x, std::string& bytes) const override {
    auto& state = *static_cast<Web*>(x.kept(*this));
    state.request_rest += bytes;
    size_t whole = state.request_rest.size() / 4 * 4;
    // Each frame may have been encoded by itself, so padding may stand in the middle.
    std::string out;
    for (size_t at = 0; at < whole; at += 4) out += base::base64_decode(std::string_view(state.request_rest).substr(at, 4)).value_or("");
    state.request_rest.erase(0, whole);
    bytes = std::move(out);
  }

  void on_response(Exchange& x, bool end) const override {
    auto* state = static_cast<Web*>(x.kept(*this));
    if (!state) return;
    HeaderMap& fields = x.response().fields;
    if (!http::is_grpc_type(fields.get("content-type"))) return;
    fields.set("content-type", state->text_response ? "application/grpc-web-text+proto" : "application/grpc-web+proto");
    if (end) return;  // trailers-only: the status stands in the head already
    fields.remove("content-length");
    x.watch_response_body(*this);
  }

  void on_response_data(Exchange& x, std::string& bytes) const override {
    auto& state = *static_cast<Web*>(x.kept(*this));
    if (!state.text_response) return;
    state.response_rest += bytes;
    size_t whole = state.response_rest.size() / 3 * 3;
    bytes = base::base64_encode(std::string_view(state.response_rest).substr(0, whole));
    state.response_rest.erase(0, whole);
  }

  void on_response_end(Exchange& x, std::string& bytes, HeaderMap* trailers) const override {
    auto& state = *static_cast<Web*>(x.kept(*this));
    std::string frame;
    if (trailers) {
      std::string block;
      for (const HeaderMap::Field& f : *trailers) {
        block += f.name;
        block += ':';
        block += f.value;
        block += "\r\n";
      }
      frame.push_back(static_cast<char>(0x80));
      for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(block.size() >> shift & 0xff));
      frame += block;
      trailers->clear();
    }
    if (state.text_response) frame = base::base64_encode(state.response_rest.append(frame));
    bytes.append(frame);
  }
};

}  // namespace

const FilterType kGrpcWebFilter = {
    "envoy.filters.http.grpc_web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", {},
    [](const CompileContext&, const FilterSource& source) -> std::shared_ptr<Filter> { return std::make_shared<GrpcWeb>(source.name); }, nullptr};

}  // namespace fairlead::proxy
