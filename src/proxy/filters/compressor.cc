// envoy.filters.http.compressor: compresses answers with gzip or brotli.
#include <brotli/encode.h>
#include <zlib.h>

#include <array>

#include "base/strings.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "proxy/exchange.h"
#include "proxy/filters/registry.h"

namespace fairlead::proxy {
namespace {

namespace pb = envoy::extensions::filters::http::compressor::v3;
namespace gzip_v3 = envoy::extensions::compression::gzip::compressor::v3;
namespace brotli_v3 = envoy::extensions::compression::brotli::compressor::v3;

// One body on its way through a library. What was given comes out by the next flush, so that streams stay streams.
class Encoder {
 public:
  virtual ~Encoder() = default;
  // Replaces `bytes` by what they become.
  virtual void run(std::string& bytes, bool end) = 0;
};

struct GzipSettings {
  int level = Z_DEFAULT_COMPRESSION, window_bits = 12, memory = 5, strategy = Z_DEFAULT_STRATEGY;  // Envoy's defaults
};

class Gzip final : public Encoder {
 public:
  explicit Gzip(const GzipSettings& s) { ok_ = deflateInit2(&z_, s.level, Z_DEFLATED, s.window_bits + 16, s.memory, s.strategy) == Z_OK; }
  ~Gzip() override {
    if (ok_) deflateEnd(&z_);
  }
  void run(std::string& bytes, bool end) override {
    std::string out;
    z_.next_in = reinterpret_cast<Bytef*>(bytes.data());
    z_.avail_in = static_cast<uInt>(bytes.size());
    std::array<char, 16 * 1024> room;
    do {
      z_.next_out = reinterpret_cast<Bytef*>(room.data());
      z_.avail_out = room.size();
      if (deflate(&z_, end ? Z_FINISH : Z_SYNC_FLUSH) == Z_STREAM_ERROR) break;
      out.append(room.data(), room.size() - z_.avail_out);
    } while (z_.avail_out == 0);
    bytes = std::move(out);
  }
  bool ok() const { return ok_; }

 private:
  z_stream z_{};
  bool ok_ = false;
};

struct BrotliSettings {
  uint32_t quality = 3, window_bits = 18, block_bits = 24;
  BrotliEncoderMode mode = BROTLI_MODE_GENERIC;
  bool no_literal_contexts = false;
};

class Brotli final : public Encoder {
 public:
  explicit Brotli(const BrotliSettings& s) : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (!state_) return;
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, s.quality);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, s.window_bits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGBLOCK, s.block_bits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_MODE, s.mode);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING, s.no_literal_contexts);
  }
  ~Brotli() override {
    if (state_) BrotliEncoderDestroyInstance(state_);
  }
  void run(std::string& bytes, bool end) override {
    std::string out;
    const auto* in = reinterpret_cast<const uint8_t*>(bytes.data());
    size_t left = bytes.size();
    do {
      size_t no_room = 0;
      if (!BrotliEncoderCompressStream(state_, end ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH, &left, &in, &no_room, nullptr, nullptr)) break;
      size_t made = 0;
      const uint8_t* piece = BrotliEncoderTakeOutput(state_, &made);
      out.append(reinterpret_cast<const char*>(piece), made);
    } while (left > 0 || BrotliEncoderHasMoreOutput(state_));
    bytes = std::move(out);
  }
  bool ok() const { return state_ != nullptr; }

 private:
  BrotliEncoderState* state_;
};

struct Running : FilterState {
  std::unique_ptr<Encoder> encoder, request;
  bool wanted = false;   // this client takes what would come out
};

const std::vector<std::string> kTypes = {"application/javascript", "application/json", "application/xhtml+xml", "image/svg+xml", "text/css", "text/html", "text/plain", "text/xml"};

struct What {  // is compressed, of one direction
  bool on = true;
  uint64_t least = 30;
  std::vector<std::string> types = kTypes;
};

struct Settings {
  std::string encoding;  // "gzip", "br"
  GzipSettings gzip;
  BrotliSettings brotli;
  bool not_with_etag = false, hide_accept_encoding = false;
  What response;
  std::optional<What> request;
};

struct AtRoute : RouteFilter {
  bool disabled = false;
  std::optional<bool> hide_accept_encoding;
};

// The weight that an Accept-Encoding field gives to a coding (RFC 9110 section 12.5.3); 0: not acceptable.
double weight(std::string_view accept, std::string_view coding) {
  double star = 0;
  for (std::string_view part : base::split(accept, ',')) {
    size_t semicolon = part.find(';');
    std::string name = base::to_lower(base::trim(part.substr(0, semicolon)));
    double q = 1;
    if (semicolon != std::string_view::npos) {
      std::string_view rest = base::trim(part.substr(semicolon + 1));
      if (rest.starts_with("q=") || rest.starts_with("Q=")) q = std::strtod(std::string(rest.substr(2)).c_str(), nullptr);
    }
    if (name == coding || (coding == "gzip" && name == "x-gzip")) return q;
    if (name == "*") star = q;
  }
  return star;
}

class Compressor final : public Filter {
 public:
  Compressor(std::string name, Settings s) : Filter(std::move(name), kRequest | kResponse), s_(std::move(s)) {}

  Next on_request(Exchange& x) const override {
    const auto* route = static_cast<const AtRoute*>(x.route_filter(*this));
    if (route && route->disabled) return Next::kGoOn;
    if (s_.request && s_.request->on && !x.request_ended()) compress_request(x);
    std::string_view accept;
    std::string scratch;
    if (!s_.response.on || !x.request().fields.get_all("accept-encoding", accept, scratch) || weight(accept, s_.encoding) <= 0) return Next::kGoOn;
    running(x).wanted = true;
    bool hide = route && route->hide_accept_encoding ? *route->hide_accept_encoding : s_.hide_accept_encoding;
    if (hide) x.request().fields.remove("accept-encoding");
    return Next::kGoOn;
  }

  void on_response(Exchange& x, bool end) const override {
    HeaderMap& head = x.response().fields;
    bool fits = !end && s_.response.on && compressible(x);
    auto* running = static_cast<Running*>(x.kept(*this));
    if (fits) add_vary(head);  // what a cache keeps depends on the field, whether this client sent it or not
    if (!fits || !running || !running->wanted) return;
    running->encoder = make_encoder();
    if (!running->encoder) return;
    head.remove("content-length");
    head.remove("accept-ranges");
    head.set_view("content-encoding", s_.encoding);
    // The bytes differ from those that a strong validator stands for.
    if (std::string_view etag = head.get("etag"); !etag.empty() && !etag.starts_with("W/")) head.set("etag", "W/" + std::string(etag));
    x.watch_response_body(*this);
  }

  void on_request_data(Exchange& x, std::string& bytes) const override { running(x).request->run(bytes, false); }
  void on_request_end(Exchange& x, std::string& bytes, HeaderMap*) const override { end(*running(x).request, bytes); }
  void on_response_data(Exchange& x, std::string& bytes) const override { running(x).encoder->run(bytes, false); }
  void on_response_end(Exchange& x, std::string& bytes, HeaderMap*) const override { end(*running(x).encoder, bytes); }

 private:
  Running& running(Exchange& x) const {
    if (FilterState* kept = x.kept(*this)) return static_cast<Running&>(*kept);
    auto made = std::make_unique<Running>();
    Running& r = *made;
    x.keep(*this, std::move(made));
    return r;
  }
  static void end(Encoder& encoder, std::string& bytes) {
    std::string tail;
    encoder.run(tail, true);
    bytes += tail;
  }
  // nullptr: there is no memory for it.
  std::unique_ptr<Encoder> make_encoder() const {
    if (s_.encoding == "br") {
      auto encoder = std::make_unique<Brotli>(s_.brotli);
      return encoder->ok() ? std::move(encoder) : nullptr;
    }
    auto encoder = std::make_unique<Gzip>(s_.gzip);
    return encoder->ok() ? std::move(encoder) : nullptr;
  }

  void compress_request(Exchange& x) const {
    HeaderMap& head = x.request().fields;
    if (x.upgrading() || head.has("content-encoding") || !worth_it(*s_.request, head)) return;
    auto encoder = make_encoder();
    if (!encoder) return;
    running(x).request = std::move(encoder);
    head.remove("content-length");
    head.set_view("content-encoding", s_.encoding);
    x.watch_request_body(*this);
  }

  static bool worth_it(const What& what, const HeaderMap& head) {
    if (const auto* length = head.find("content-length"))
      if (auto n = base::to_int(length->value); !n || static_cast<uint64_t>(*n) < what.least) return false;
    const auto* type = head.find("content-type");
    if (!type) return true;  // as Envoy: what is not said may be anything
    std::string plain = base::to_lower(base::trim(type->value.substr(0, type->value.find(';'))));
    return std::ranges::find(what.types, plain) != what.types.end();
  }

  bool compressible(Exchange& x) const {
    const ResponseHeaders& r = x.response();
    if (r.status < 200 || r.status == 204 || r.status == 206 || r.status == 304 || x.request().method == "HEAD") return false;
    const HeaderMap& head = r.fields;
    if (head.has("content-encoding") || (s_.not_with_etag && head.has("etag"))) return false;
    if (base::to_lower(head.get("cache-control")).find("no-transform") != std::string::npos) return false;
    return worth_it(s_.response, head);
  }

  static void add_vary(HeaderMap& head) {
    std::string vary(head.get("vary"));
    if (base::to_lower(vary).find("accept-encoding") != std::string::npos || vary == "*") return;
    head.set("vary", vary.empty() ? "Accept-Encoding" : vary + ", Accept-Encoding");
  }

  Settings s_;
};

void library(const CompileContext& at, const google::protobuf::Any& any, Settings& s) {
  if (any_is<gzip_v3::Gzip>(any)) {
    auto from = unpack<gzip_v3::Gzip>(at, any);
    s.encoding = "gzip";
    if (from.has_memory_level()) s.gzip.memory = static_cast<int>(from.memory_level().value());
    if (from.has_window_bits()) s.gzip.window_bits = static_cast<int>(from.window_bits().value());
    if (s.gzip.window_bits < 9 || s.gzip.window_bits > 15) at.at("window_bits").refuse("9 to 15 is expected");
    if (s.gzip.memory < 1 || s.gzip.memory > 9) at.at("memory_level").refuse("1 to 9 is expected");
    if (from.compression_level()) s.gzip.level = from.compression_level();
    static constexpr int kStrategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
    if (from.compression_strategy() >= 0 && from.compression_strategy() < 5) s.gzip.strategy = kStrategies[from.compression_strategy()];
  } else if (any_is<brotli_v3::Brotli>(any)) {
    auto from = unpack<brotli_v3::Brotli>(at, any);
    s.encoding = "br";
    if (from.has_quality()) s.brotli.quality = from.quality().value();
    if (from.has_window_bits()) s.brotli.window_bits = from.window_bits().value();
    if (from.has_input_block_bits()) s.brotli.block_bits = from.input_block_bits().value();
    if (s.brotli.quality > 11) at.at("quality").refuse("0 to 11 is expected");
    if (s.brotli.window_bits < 10 || s.brotli.window_bits > 24) at.at("window_bits").refuse("10 to 24 is expected");
    if (s.brotli.block_bits < 16 || s.brotli.block_bits > 24) at.at("input_block_bits").refuse("16 to 24 is expected");
    static constexpr BrotliEncoderMode kModes[] = {BROTLI_MODE_GENERIC, BROTLI_MODE_GENERIC, BROTLI_MODE_TEXT, BROTLI_MODE_FONT};
    if (from.encoder_mode() >= 0 && from.encoder_mode() < 4) s.brotli.mode = kModes[from.encoder_mode()];
    s.brotli.no_literal_contexts = from.disable_literal_context_modeling();
  } else {
    at.refuse("the type {} is not taken; use envoy.extensions.compression.gzip.compressor.v3.Gzip or envoy.extensions.compression.brotli.compressor.v3.Brotli",
              short_type(any));
  }
}

}  // namespace

const FilterType kCompressorFilter = {
    "envoy.filters.http.compressor", "envoy.extensions.filters.http.compressor.v3.Compressor", "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<Filter> {
      auto from = unpack<pb::Compressor>(at, *source.any);
      Settings s;
      library(at.at("compressor_library.typed_config"), from.compressor_library().typed_config(), s);
      What& response = s.response;
      if (from.has_content_length()) response.least = from.content_length().value();
      if (from.content_type_size()) response.types.assign(from.content_type().begin(), from.content_type().end());
      if (from.has_runtime_enabled()) response.on = from.runtime_enabled().default_value().value();
      s.not_with_etag = from.disable_on_etag_header();
      s.hide_accept_encoding = from.remove_accept_encoding_header();
      auto common = [](const pb::Compressor::CommonDirectionConfig& c, What& what) {
        if (c.has_min_content_length()) what.least = c.min_content_length().value();
        if (c.content_type_size()) what.types.assign(c.content_type().begin(), c.content_type().end());
        if (c.has_enabled()) what.on = c.enabled().default_value().value();
        for (std::string& type : what.types) type = base::to_lower(type);
      };
      if (from.has_response_direction_config()) {
        s.not_with_etag = from.response_direction_config().disable_on_etag_header();
        s.hide_accept_encoding = from.response_direction_config().remove_accept_encoding_header();
      }
      common(from.response_direction_config().common_config(), response);
      if (from.has_request_direction_config()) common(from.request_direction_config().common_config(), s.request.emplace());
      return std::make_shared<Compressor>(source.name, std::move(s));
    },
    [](const CompileContext& at, const FilterSource& source) -> std::shared_ptr<const RouteFilter> {
      auto from = unpack<pb::CompressorPerRoute>(at, *source.any);
      auto route = std::make_shared<AtRoute>();
      route->disabled = from.disabled();
      const auto& response = from.overrides().response_direction_config();
      if (response.has_remove_accept_encoding_header()) route->hide_accept_encoding = response.remove_accept_encoding_header().value();
      return route;
    }};

}  // namespace fairlead::proxy
