#include "http/spdy.h"

#include <zlib.h>

#include <algorithm>

namespace fairlead::http {
namespace {

enum FrameType : uint16_t { kSynStream = 1, kSynReply = 2, kRstStream = 3, kSettings = 4, kPing = 6, kGoAway = 7, kHeaders = 8, kWindowUpdate = 9 };
constexpr uint8_t kFlagFin = 1;
constexpr size_t kFrameHeaderBytes = 8;

void put32(std::string& out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift);
}
uint32_t get32(std::string_view s, size_t at) {
  return static_cast<uint32_t>(static_cast<unsigned char>(s[at])) << 24 | static_cast<uint32_t>(static_cast<unsigned char>(s[at + 1])) << 16 |
         static_cast<uint32_t>(static_cast<unsigned char>(s[at + 2])) << 8 | static_cast<unsigned char>(s[at + 3]);
}

// The preset dictionary of section 2.6.10.1: words with a 32-bit length before each, then a run of common values.
const std::string& dictionary() {
  static const std::string built = [] {
    static constexpr std::string_view kWords[] = {
        "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language",
        "accept-ranges", "age", "allow", "authorization", "cache-control", "connection", "content-base", "content-encoding",
        "content-language", "content-length", "content-location", "content-md5", "content-range", "content-type", "date", "etag",
        "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
        "last-modified", "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer",
        "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning",
        "www-authenticate", "method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie",
        "keep-alive", "origin"};
    std::string out;
    for (std::string_view word : kWords) {
      put32(out, static_cast<uint32_t>(word.size()));
      out += word;
    }
    out +=
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
        "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal "
        "Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, "
        "Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
        "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
        "charset=iso-8859-1,utf-,*,enq=0.";
    return out;
  }();
  return built;
}

}  // namespace

// One compression context each way for the whole connection.
struct SpdySession::Zlib {
  z_stream in{}, out{};
  Zlib() {
    inflateInit(&in);
    deflateInit(&out, Z_DEFAULT_COMPRESSION);
    deflateSetDictionary(&out, reinterpret_cast<const Bytef*>(dictionary().data()), static_cast<uInt>(dictionary().size()));
  }
  ~Zlib() {
    inflateEnd(&in);
    deflateEnd(&out);
  }
};

SpdySession::SpdySession(SpdyCallbacks callbacks) : callbacks_(std::move(callbacks)), zlib_(std::make_unique<Zlib>()) {}
SpdySession::~SpdySession() { *alive_ = false; }

base::Status SpdySession::feed(std::string_view bytes) {
  auto alive = alive_;
  while (*alive) {
    if (data_left_ > 0) {
      size_t n = std::min(data_left_, bytes.size());
      if (n == 0) return {};
      data_left_ -= n;
      if (callbacks_.on_data) callbacks_.on_data(data_stream_, bytes.substr(0, n));
      if (!*alive) return {};
      bytes.remove_prefix(n);
      if (data_left_ == 0 && data_fin_ && callbacks_.on_end) callbacks_.on_end(data_stream_);
      continue;
    }
    // A frame header, then (control frames) the whole payload, are collected in input_.
    if (input_.size() < kFrameHeaderBytes) {
      size_t n = std::min(kFrameHeaderBytes - input_.size(), bytes.size());
      input_.append(bytes.substr(0, n));
      bytes.remove_prefix(n);
      if (input_.size() < kFrameHeaderBytes) return {};
    }
    uint32_t first = get32(input_, 0), second = get32(input_, 4);
    uint8_t flags = static_cast<uint8_t>(second >> 24);
    size_t length = second & 0xffffff;
    if (!(first & 0x80000000u)) {
      data_stream_ = first;
      data_left_ = length;
      data_fin_ = flags & kFlagFin;
      input_.clear();
      if (length == 0 && data_fin_ && callbacks_.on_end) callbacks_.on_end(data_stream_);
      continue;
    }
    if ((first >> 16 & 0x7fff) != 3) return base::fail(base::Code::kInvalidArgument, "SPDY version {} is not 3", first >> 16 & 0x7fff);
    if (length > kMaxFrameBytes)
      return base::fail(base::Code::kResourceExhausted, "SPDY control frame of {} bytes is over the limit of {}", length, kMaxFrameBytes);
    size_t missing = kFrameHeaderBytes + length - input_.size();
    size_t n = std::min(missing, bytes.size());
    input_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (n < missing) return {};
    std::string frame = std::move(input_);
    input_.clear();
    auto type = static_cast<uint16_t>(first & 0xffff);
    std::string_view payload = std::string_view(frame).substr(kFrameHeaderBytes);
    if (auto s = control_frame(type, payload); !s || !*alive) return s;
    if ((type == kSynStream || type == kHeaders) && (flags & kFlagFin) && callbacks_.on_end)
      callbacks_.on_end(get32(payload, 0) & 0x7fffffff);
  }
  return {};
}

base::Status SpdySession::control_frame(uint16_t type, std::string_view payload) {
  auto need = [&](size_t bytes) -> base::Status {
    if (payload.size() >= bytes) return {};
    return base::fail(base::Code::kInvalidArgument, "SPDY frame of type {} has {} bytes, needs {}", type, payload.size(), bytes);
  };
  switch (type) {
    case kSynStream: {
      if (auto s = need(10); !s) return s;
      auto headers = inflate_headers(payload.substr(10));
      if (!headers) return std::unexpected(headers.error());
      if (callbacks_.on_stream) callbacks_.on_stream(get32(payload, 0) & 0x7fffffff, *headers);
      return {};
    }
    case kSynReply:
    case kHeaders: {
      // Nothing is asked of the peer by us; the block still has to pass through the shared decompressor.
      if (auto s = need(4); !s) return s;
      auto headers = inflate_headers(payload.substr(4));
      if (!headers) return std::unexpected(headers.error());
      return {};
    }
    case kRstStream:
      if (auto s = need(8); !s) return s;
      if (callbacks_.on_reset) callbacks_.on_reset(get32(payload, 0) & 0x7fffffff);
      return {};
    case kPing:
      if (auto s = need(4); !s) return s;
      control_header(kPing, 0, 4);
      output_.append(payload.substr(0, 4));
      return {};
    default: return {};  // SETTINGS, GOAWAY, WINDOW_UPDATE and unknown types change nothing here
  }
}

base::Result<Headers> SpdySession::inflate_headers(std::string_view block) {
  z_stream& z = zlib_->in;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  z.avail_in = static_cast<uInt>(block.size());
  std::string text;
  char buffer[4096];
  while (true) {
    z.next_out = reinterpret_cast<Bytef*>(buffer);
    z.avail_out = sizeof buffer;
    int r = inflate(&z, Z_SYNC_FLUSH);
    if (r == Z_NEED_DICT) {
      r = inflateSetDictionary(&z, reinterpret_cast<const Bytef*>(dictionary().data()), static_cast<uInt>(dictionary().size()));
      if (r != Z_OK) return base::fail(base::Code::kInvalidArgument, "SPDY header block: unknown dictionary");
      continue;
    }
    if (r != Z_OK && r != Z_BUF_ERROR) return base::fail(base::Code::kInvalidArgument, "SPDY header block cannot be inflated ({}: {})", r, z.msg ? z.msg : "");
    text.append(buffer, sizeof buffer - z.avail_out);
    if (text.size() > kMaxHeaderBlockBytes)
      return base::fail(base::Code::kResourceExhausted, "SPDY header block is over the limit of {} bytes", kMaxHeaderBlockBytes);
    if (z.avail_in == 0 && z.avail_out > 0) break;
    if (r == Z_BUF_ERROR) break;
  }
  Headers headers;
  std::string_view rest = text;
  auto number = [&](uint32_t& v) {
    if (rest.size() < 4) return false;
    v = get32(rest, 0);
    rest.remove_prefix(4);
    return true;
  };
  auto string = [&](std::string_view& v) {
    uint32_t n;
    if (!number(n) || rest.size() < n) return false;
    v = rest.substr(0, n);
    rest.remove_prefix(n);
    return true;
  };
  uint32_t count = 0;
  bool ok = number(count);
  for (uint32_t i = 0; ok && i < count; ++i) {
    std::string_view name, value;
    ok = string(name) && string(value);
    if (ok) headers.add(name, value);
  }
  if (!ok) return base::fail(base::Code::kInvalidArgument, "SPDY header block is cut short");
  return headers;
}

std::string SpdySession::deflate_headers(const Headers& headers) {
  std::string text;
  put32(text, static_cast<uint32_t>(headers.fields().size()));
  for (const auto& [name, value] : headers) {
    put32(text, static_cast<uint32_t>(name.size()));
    text += name;
    put32(text, static_cast<uint32_t>(value.size()));
    text += value;
  }
  z_stream& z = zlib_->out;
  z.next_in = reinterpret_cast<Bytef*>(text.data());
  z.avail_in = static_cast<uInt>(text.size());
  std::string out;
  char buffer[4096];
  do {
    z.next_out = reinterpret_cast<Bytef*>(buffer);
    z.avail_out = sizeof buffer;
    deflate(&z, Z_SYNC_FLUSH);
    out.append(buffer, sizeof buffer - z.avail_out);
  } while (z.avail_out == 0);
  return out;
}

void SpdySession::control_header(uint16_t type, uint8_t flags, size_t length) {
  put32(output_, 0x80030000u | type);
  put32(output_, static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(length));
}

void SpdySession::reply(SpdyStreamId stream, const Headers& headers) {
  std::string block = deflate_headers(headers);
  control_header(kSynReply, 0, 4 + block.size());
  put32(output_, stream);
  output_ += block;
}

void SpdySession::write(SpdyStreamId stream, std::string_view bytes) {
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, 64u << 10);
    put32(output_, stream);
    put32(output_, static_cast<uint32_t>(piece.size()));
    output_ += piece;
    bytes.remove_prefix(piece.size());
  }
}

void SpdySession::finish(SpdyStreamId stream) {
  put32(output_, stream);
  put32(output_, static_cast<uint32_t>(kFlagFin) << 24);
}

void SpdySession::reset(SpdyStreamId stream, SpdyReset status) {
  control_header(kRstStream, 0, 8);
  put32(output_, stream);
  put32(output_, static_cast<uint32_t>(status));
}

void SpdySession::goaway() {
  control_header(kGoAway, 0, 8);
  put32(output_, 0);
  put32(output_, 0);
}

}  // namespace fairlead::http
