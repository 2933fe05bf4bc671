#include "http/h1_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/strings.h"

namespace fairlead::http {
namespace {

// Lower-case form of each token character (RFC 9110 section 5.6.2); 0 for bytes that may not stand in a name.
constexpr std::array<char, 256> make_token_table() {
  std::array<char, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[static_cast<size_t>(c)] = static_cast<char>(c);
  for (int c = 'a'; c <= 'z'; ++c) {
    t[static_cast<size_t>(c)] = static_cast<char>(c);
    t[static_cast<size_t>(c - 'a' + 'A')] = static_cast<char>(c);
  }
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) t[static_cast<unsigned char>(c)] = c;
  return t;
}
constexpr auto kToken = make_token_table();
bool is_token(char c) { return kToken[static_cast<unsigned char>(c)] != 0; }
bool is_token(std::string_view s) { return !s.empty() && std::ranges::all_of(s, [](char c) { return is_token(c); }); }

// Field values: no control characters but HTAB. Eight bytes at a time: a byte below 0x20 or equal to 0x7f sets its
// high bit; the rare hit is looked at again byte by byte because of HTAB.
bool value_is_clean(const char* p, size_t n) {
  constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  auto slow = [](const char* q, size_t m) {
    for (size_t i = 0; i < m; ++i) {
      auto c = static_cast<unsigned char>(q[i]);
      if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
  };
  while (n >= 8) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    uint64_t below = (w - kOnes * 0x20) & ~w;
    uint64_t x = w ^ (kOnes * 0x7f);
    uint64_t del = (x - kOnes) & ~x;
    if (((below | del) & kHigh) && !slow(p, 8)) return false;
    p += 8;
    n -= 8;
  }
  return slow(p, n);
}

bool target_is_clean(const char* p, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    auto c = static_cast<unsigned char>(p[i]);
    if (c <= 0x20 || c == 0x7f) return false;
  }
  return n > 0;
}

// RFC 3986 host and port, loosely: what could be taken for another delimiter is refused.
constexpr std::array<bool, 256> make_host_table() {
  std::array<bool, 256> t{};
  for (size_t c = 0x21; c < 256; ++c) t[c] = c != 0x7f;
  for (char c : std::string_view("/?#@,\\\"<>{}|^`")) t[static_cast<unsigned char>(c)] = false;
  return t;
}
constexpr auto kHost = make_host_table();
bool host_is_clean(std::string_view host) {
  return std::ranges::all_of(host, [](char c) { return kHost[static_cast<unsigned char>(c)]; });
}

bool has_list_member(std::string_view list, std::string_view lower_word) {
  while (true) {
    size_t comma = list.find(',');
    if (base::iequals(base::trim(list.substr(0, comma)), lower_word)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

bool forbidden_in_trailers(std::string_view name) {
  return name == "content-length" || name == "transfer-encoding" || name == "host" || name == "connection" ||
         name == "content-encoding" || name == "content-type" || name == "trailer" || name == "authorization" ||
         name == "upgrade" || name == "te" || name == "expect";
}

#ifdef __SSE2__
// The control characters among 16 bytes: one bit each.
inline uint64_t controls(const char* p) {
  __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)))));
}

// Lowers the letters, digits and hyphens at the front of a name, up to 32, and tells how many there are.
inline size_t lower_common_name(char* p, const char* limit) {
  const __m128i bit = _mm_set1_epi8(0x20);
  size_t done = 0;
  for (; done < 32 && p + 16 <= limit; p += 16) {
    __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i lower = _mm_or_si128(x, bit);
    // Signed comparisons: bytes from 0x80 on are negative, and so out of both ranges.
    __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)), _mm_cmplt_epi8(lower, _mm_set1_epi8('z' + 1)));
    __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8('0' - 1)), _mm_cmplt_epi8(x, _mm_set1_epi8('9' + 1)));
    __m128i good = _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
    auto n = static_cast<size_t>(std::countr_one(static_cast<uint16_t>(_mm_movemask_epi8(good))));
    // Letters behind the name must stay as they are.
    static constexpr auto kFirst = [] {
      std::array<char, 32> t{};
      for (size_t i = 0; i < 16; ++i) t[i] = static_cast<char>(-1);
      return t;
    }();
    __m128i in_name = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kFirst.data() + 16 - n));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_or_si128(x, _mm_and_si128(_mm_and_si128(letter, in_name), bit)));
    done += n;
    if (n < 16) break;
  }
  return done;
}
#endif

constexpr size_t kMaxChunkExtensionBytes = 16 * 1024;  // of one message; nobody needs any

}  // namespace

std::string_view to_string(H1Error error) {
  switch (error) {
    case H1Error::kNone: return "no error";
    case H1Error::kBadStartLine: return "malformed start line";
    case H1Error::kBadVersion: return "unsupported HTTP version";
    case H1Error::kBadTarget: return "malformed request target";
    case H1Error::kBadLineEnd: return "lines must end in CRLF";
    case H1Error::kFoldedLine: return "folded header line";
    case H1Error::kBadFieldName: return "malformed header name";
    case H1Error::kBadFieldValue: return "control character in a header value";
    case H1Error::kBadHost: return "missing, repeated or malformed Host header";
    case H1Error::kHeadTooLarge: return "header section too large";
    case H1Error::kTooManyFields: return "too many header fields";
    case H1Error::kBadContentLength: return "malformed or contradictory Content-Length";
    case H1Error::kLengthAndCoding: return "both Content-Length and Transfer-Encoding";
    case H1Error::kBadCoding: return "unsupported Transfer-Encoding";
    case H1Error::kBadChunk: return "malformed chunk";
    case H1Error::kTrailersTooLarge: return "trailer section too large";
    case H1Error::kTruncated: return "connection closed inside a message";
  }
  return "unknown error";
}

int status_for(H1Error error) {
  switch (error) {
    case H1Error::kHeadTooLarge:
    case H1Error::kTooManyFields:
    case H1Error::kTrailersTooLarge: return 431;
    case H1Error::kBadVersion: return 505;
    case H1Error::kBadCoding: return 501;
    default: return 400;
  }
}

std::string_view H1Head::get(std::string_view lower_name) const {
  for (const auto& f : fields)
    if (f.name == lower_name) return f.value;
  return {};
}

std::string_view H1Parser::sent_name(const FieldView& field) const {
  auto at = static_cast<size_t>(field.name.data() - block_.data());
  if (!keep_names_ || at + field.name.size() > sent_block_.size()) return field.name;
  return {sent_block_.data() + at, field.name.size()};
}

void H1Parser::reset(H1Limits limits) {
  limits_ = limits;
  state_ = State::kHead;
  error_ = H1Error::kNone;
  to_head_ = to_connect_ = head_done_ = extension_named_ = keep_names_ = false;
  digits_ = 0;
  block_.clear();
  trailer_block_.clear();
  gathering_ = &block_;
  clear_lines();
  left_ = 0;
  extension_bytes_ = 0;
  fields_.clear();
  trailers_.clear();
  sent_block_.clear();
  data_ = {};
  head_ = {};
}

void H1Parser::expect_response_to(std::string_view method) {
  to_head_ = method == "HEAD";
  to_connect_ = method == "CONNECT";
}

H1Parser::Event H1Parser::fail(H1Error error) {
  error_ = error;
  state_ = State::kError;
  return Event::kError;
}

H1Parser::Event H1Parser::end_message() {
  state_ = State::kHead;
  return Event::kEnd;
}

H1Parser::Event H1Parser::next(std::string_view& input) {
  switch (state_) {
    case State::kHead: return read_head(input);
    case State::kTrailers: return read_trailers(input);
    case State::kEndPending: return end_message();
    case State::kError: return Event::kError;
    default: return read_body(input);
  }
}

H1Parser::Event H1Parser::finish() {
  switch (state_) {
    case State::kError: return Event::kError;
    case State::kHead:
      if (head_done_ || block_.empty()) return Event::kNeedMore;
      return fail(H1Error::kTruncated);
    case State::kUntilClose:
    case State::kEndPending: return end_message();
    case State::kBodyBegin:
      if (head_.framing == BodyFraming::kNone || head_.framing == BodyFraming::kTunnel || head_.framing == BodyFraming::kUntilClose)
        return end_message();
      return fail(H1Error::kTruncated);
    default: return fail(H1Error::kTruncated);
  }
}

// Moves the bytes of a field section into *gathering_, up to and with the empty line that ends it, noting line ends.
bool H1Parser::gather(std::string_view& input, H1Error& problem) {
  std::string& block = *gathering_;
  const char* begin = input.data();
  size_t size = input.size(), held = block.size();
  size_t line_start = lines_.empty() ? 0 : lines_.back();
  bool complete = false;
  // Line ends that are not in lines_ yet.
  uint32_t found[256];
  size_t count = 0;
  auto note = [&] {
    lines_.insert(lines_.end(), found, found + count);
    count = 0;
    if (problem == H1Error::kNone && lines_.size() - complete > limits_.max_fields + 1) problem = H1Error::kTooManyFields;
  };
  for (size_t i = 0, width; !complete && problem == H1Error::kNone && i < size; i += width) {
    if (count > std::size(found) - 64) note();
    width = std::min<size_t>(size - i, 64);
    uint64_t mask = 0;  // control characters among them
#ifdef __SSE2__
    if (width == 64) mask = controls(begin + i) | controls(begin + i + 16) << 16 | controls(begin + i + 32) << 32 | controls(begin + i + 48) << 48;
    else if (width >= 16) mask = controls(begin + i), width = 16;
    else if (size >= 16) mask = controls(begin + size - 16) >> (16 - width);  // the last ones, with some that were seen
    else
#endif
      for (size_t n = 0; n < width; ++n)
        if (auto c = static_cast<unsigned char>(begin[i + n]); c < 0x20 || c == 0x7f) mask |= uint64_t{1} << n;

    for (; mask; mask &= mask - 1) {
      size_t at = i + static_cast<size_t>(std::countr_zero(mask));
      // Nearly always a CR and its LF, both in sight.
      if (begin[at] == '\r' && at + 1 < i + width && begin[at + 1] == '\n') {
        mask &= mask - 1;
        complete = held + at == line_start;
        line_start = held + at + 2;
        found[count++] = static_cast<uint32_t>(line_start);
        if (complete) break;
        continue;
      }
      // CRs are judged by the LF behind them: when there are as many of both, and each LF follows a CR, no CR is bare.
      if (begin[at] == '\r') {
        ++unpaired_;
      } else if (begin[at] != '\n') {
        odd_bytes_ |= begin[at] != '\t';
      } else {
        char before = at > 0 ? begin[at - 1] : block.empty() ? '\0' : block.back();
        if (before != '\r' || held + at == line_start) {
          problem = H1Error::kBadLineEnd;
          break;
        }
        --unpaired_;
        complete = held + at == line_start + 1;
        line_start = held + at + 1;
        found[count++] = static_cast<uint32_t>(line_start);
        if (complete) break;
      }
    }
  }
  note();
  size_t taken = complete ? line_start - held : size;
  if (problem != H1Error::kNone) return false;
  if (held + taken > limits_.max_head_bytes) {
    problem = gathering_ == &block_ ? H1Error::kHeadTooLarge : H1Error::kTrailersTooLarge;
    return false;
  }
  block.append(begin, taken);
  input.remove_prefix(taken);
  return complete;
}

void H1Parser::clear_lines() {
  lines_.clear();
  unpaired_ = 0;
  odd_bytes_ = false;
}

H1Parser::Event H1Parser::read_head(std::string_view& input) {
  if (head_done_) {  // the message before ended; its views end here
    head_done_ = false;
    block_.clear();
    clear_lines();
    trailers_.clear();
  }
  gathering_ = &block_;
  while (true) {
    if (input.empty()) return Event::kNeedMore;
    // What is not HTTP at all (a TLS hello, say) is known by its first byte; no need to wait for a line.
    if (block_.empty() && !is_token(input.front()) && input.front() != '\r') return fail(H1Error::kBadStartLine);
    H1Error problem = H1Error::kNone;
    bool complete = gather(input, problem);
    if (problem != H1Error::kNone) return fail(problem);
    if (!complete) return Event::kNeedMore;
    if (lines_.size() > 1) break;
    // An empty line before the start line is tolerated (RFC 9112 section 2.2) in requests.
    if (kind_ == Kind::kResponse) return fail(H1Error::kBadStartLine);
    block_.clear();
    clear_lines();
  }
  head_ = {};
  fields_.clear();
  trailers_.clear();
  if (keep_names_) sent_block_ = block_;
  char* block = block_.data();
  H1Error error = kind_ == Kind::kRequest ? parse_request_line(block, block + lines_[0] - 2) : parse_status_line(block, block + lines_[0] - 2);
  if (error == H1Error::kNone) error = parse_fields(block, 1, fields_);
  if (error == H1Error::kNone) error = interpret_fields();
  if (error != H1Error::kNone) return fail(error);
  head_.fields = fields_;
  head_.block = block_;
  head_done_ = true;
  extension_bytes_ = 0;
  state_ = head_.interim() ? State::kHead : State::kBodyBegin;
  return Event::kHead;
}

H1Error H1Parser::parse_request_line(char* begin, char* end) {
  std::string_view line(begin, static_cast<size_t>(end - begin));
  size_t space = line.find(' ');
  size_t last = line.rfind(' ');
  if (space == std::string_view::npos || last == space) return H1Error::kBadStartLine;
  head_.method = line.substr(0, space);
  head_.target = line.substr(space + 1, last - space - 1);
  std::string_view version = line.substr(last + 1);
  if (!is_token(head_.method)) return H1Error::kBadStartLine;
  if (version == "HTTP/1.1") head_.version = Version::kHttp11;
  else if (version == "HTTP/1.0") head_.version = Version::kHttp10;
  else return version.starts_with("HTTP/") ? H1Error::kBadVersion : H1Error::kBadStartLine;
  if (!target_is_clean(head_.target.data(), head_.target.size())) return H1Error::kBadTarget;
  bool connect = head_.method == "CONNECT";
  if (connect) {
    if (!host_is_clean(head_.target)) return H1Error::kBadTarget;
  } else if (head_.target.front() != '/' && !(head_.target == "*" && head_.method == "OPTIONS")) {
    size_t scheme = head_.target.find("://");
    if (scheme == std::string_view::npos) return H1Error::kBadTarget;
    std::string_view name = head_.target.substr(0, scheme);
    if (!base::iequals(name, "http") && !base::iequals(name, "https")) return H1Error::kBadTarget;
    std::string_view authority = head_.target.substr(scheme + 3);
    authority = authority.substr(0, authority.find_first_of("/?#"));
    if (authority.empty() || !host_is_clean(authority)) return H1Error::kBadTarget;
  }
  return H1Error::kNone;
}

H1Error H1Parser::parse_status_line(char* begin, char* end) {
  std::string_view line(begin, static_cast<size_t>(end - begin));
  if (!line.starts_with("HTTP/") || line.size() < 12) return H1Error::kBadStartLine;
  if (line.substr(5, 3) == "1.1") head_.version = Version::kHttp11;
  else if (line.substr(5, 3) == "1.0") head_.version = Version::kHttp10;
  else return H1Error::kBadVersion;
  auto digit = [&](size_t i) { return line[i] >= '0' && line[i] <= '9'; };
  if (line[8] != ' ' || !digit(9) || !digit(10) || !digit(11)) return H1Error::kBadStartLine;
  head_.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  if (head_.status < 100) return H1Error::kBadStartLine;
  if (line.size() > 12) {
    if (line[12] != ' ') return H1Error::kBadStartLine;
    head_.reason = line.substr(13);
    if ((odd_bytes_ || unpaired_ != 0) && !value_is_clean(head_.reason.data(), head_.reason.size())) return H1Error::kBadStartLine;
  }
  return H1Error::kNone;
}

H1Error H1Parser::parse_fields(char* block, size_t first_line, std::vector<FieldView>& into) {
  size_t count = lines_.size() - 1;
  // gather() has seen every byte: only when one was odd do the values have to be looked at again.
  bool odd = odd_bytes_ || unpaired_ != 0;
  into.clear();
  into.reserve(count - first_line);
  [[maybe_unused]] const char* block_end = block + lines_.back();
  for (size_t i = first_line; i < count; ++i) {
    char* p = block + (i == 0 ? 0 : lines_[i - 1]);
    char* end = block + lines_[i] - 2;
    if (*p == ' ' || *p == '\t') return H1Error::kFoldedLine;
    char* name = p;
#ifdef __SSE2__
    p += lower_common_name(p, block_end);
#endif
    while (p < end) {
      char lower = kToken[static_cast<unsigned char>(*p)];
      if (!lower) break;
      *p++ = lower;
    }
    if (p == name || p == end || *p != ':') return H1Error::kBadFieldName;
    auto name_length = static_cast<size_t>(p - name);
    ++p;
    while (p < end && (*p == ' ' || *p == '\t')) ++p;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t')) --end;
    auto value_length = static_cast<size_t>(end - p);
    if (odd && !value_is_clean(p, value_length)) return H1Error::kBadFieldValue;
    into.push_back({{name, name_length}, {p, value_length}});
  }
  return H1Error::kNone;
}

H1Error H1Parser::interpret_fields() {
  bool close = false, keep = false, upgrade_named = false, host_seen = false, chunked = false;
  size_t kept = 0;
  std::string_view upgrade;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const FieldView f = fields_[i];
    // The length tells most names apart before any comparison.
    switch (f.name.size()) {
      case 4:
        if (f.name == "host") {
          if (host_seen || !host_is_clean(f.value)) {
            if (kind_ == Kind::kRequest) return H1Error::kBadHost;
          }
          host_seen = true;
          head_.host = f.value;
        }
        break;
      case 6:
        if (f.name == "expect" && base::iequals(f.value, "100-continue")) head_.expect_continue = head_.version == Version::kHttp11;
        break;
      case 7:
        if (f.name == "upgrade") upgrade = f.value;
        break;
      case 10:
        if (f.name == "connection") {
          if (f.value == "close") { close = true; break; }
          if (f.value == "keep-alive") { keep = true; break; }
          close |= has_list_member(f.value, "close");
          keep |= has_list_member(f.value, "keep-alive");
          upgrade_named |= has_list_member(f.value, "upgrade");
        }
        break;
      case 14:
        if (f.name == "content-length") {
          if (f.value.empty() || f.value.size() > 18) return H1Error::kBadContentLength;
          uint64_t n = 0;
          for (char c : f.value) {
            if (c < '0' || c > '9') return H1Error::kBadContentLength;
            n = n * 10 + static_cast<uint64_t>(c - '0');
          }
          if (head_.has_content_length) {
            if (n != head_.content_length) return H1Error::kBadContentLength;
            continue;  // the same again: keep only the first
          }
          head_.has_content_length = true;
          head_.content_length = n;
        }
        break;
      case 17:
        if (f.name == "transfer-encoding") {
          if (chunked || head_.version == Version::kHttp10 || !base::iequals(f.value, "chunked")) return H1Error::kBadCoding;
          chunked = true;
        }
        break;
      default: break;
    }
    if (kept != i) fields_[kept] = f;
    ++kept;
  }
  fields_.resize(kept);
  if (chunked && head_.has_content_length) return H1Error::kLengthAndCoding;
  if (upgrade_named && head_.version == Version::kHttp11) head_.upgrade = upgrade;
  head_.keep_alive = head_.version == Version::kHttp11 ? !close : keep && !close;

  if (kind_ == Kind::kRequest) {
    if (!host_seen && head_.version == Version::kHttp11) return H1Error::kBadHost;
    head_.framing = chunked                                              ? BodyFraming::kChunked
                    : head_.has_content_length && head_.content_length > 0 ? BodyFraming::kLength
                                                                           : BodyFraming::kNone;
    return H1Error::kNone;
  }
  int s = head_.status;
  if (s == 101 || (to_connect_ && s >= 200 && s < 300)) {
    head_.framing = BodyFraming::kTunnel;
    head_.keep_alive = false;
  } else if (s < 200 || s == 204 || s == 304 || to_head_) {
    head_.framing = BodyFraming::kNone;
  } else if (chunked) {
    head_.framing = BodyFraming::kChunked;
  } else if (head_.has_content_length) {
    head_.framing = head_.content_length > 0 ? BodyFraming::kLength : BodyFraming::kNone;
  } else {
    head_.framing = BodyFraming::kUntilClose;
    head_.keep_alive = false;
  }
  return H1Error::kNone;
}

H1Parser::Event H1Parser::read_body(std::string_view& input) {
  while (true) {
    switch (state_) {
      case State::kBodyBegin:
        switch (head_.framing) {
          case BodyFraming::kNone:
          case BodyFraming::kTunnel: return end_message();
          case BodyFraming::kLength:
            left_ = head_.content_length;
            state_ = State::kLengthData;
            break;
          case BodyFraming::kChunked:
            left_ = 0;
            digits_ = 0;
            state_ = State::kChunkSize;
            break;
          case BodyFraming::kUntilClose: state_ = State::kUntilClose; break;
        }
        break;

      case State::kLengthData: {
        if (input.empty()) return Event::kNeedMore;
        auto n = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
        data_ = input.substr(0, n);
        input.remove_prefix(n);
        left_ -= n;
        if (left_ == 0) state_ = State::kEndPending;
        return Event::kData;
      }

      case State::kUntilClose:
        if (input.empty()) return Event::kNeedMore;
        data_ = input;
        input = {};
        return Event::kData;

      case State::kChunkSize: {
        if (input.empty()) return Event::kNeedMore;
        char c = input.front();
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit >= 0) {
          if (left_ >> 56) return fail(H1Error::kBadChunk);  // would pass 2^60: not a size anyone means
          left_ = left_ << 4 | static_cast<uint64_t>(digit);
          if (++digits_ > 32) return fail(H1Error::kBadChunk);  // zeros in front do not grow left_
          input.remove_prefix(1);
          break;
        }
        if (digits_ == 0) return fail(H1Error::kBadChunk);
        extension_named_ = false;
        if (c == '\r') {
          state_ = State::kChunkSizeLf;
          input.remove_prefix(1);
        } else if (c == ';' || c == ' ' || c == '\t') {
          state_ = State::kChunkExtension;
        } else {
          return fail(H1Error::kBadChunk);
        }
        break;
      }

      case State::kChunkExtension: {
        // Ignored, but for its size and its characters. White space alone, without ";", is refused: peers differ on it.
        if (input.empty()) return Event::kNeedMore;
        char c = input.front();
        if (c == ';') extension_named_ = true;
        if (!extension_named_ && c != ' ' && c != '\t') return fail(H1Error::kBadChunk);
        if (c == '\r') state_ = State::kChunkSizeLf;
        else if (c == '\n' || c == '\0') return fail(H1Error::kBadChunk);
        if (++extension_bytes_ > kMaxChunkExtensionBytes) return fail(H1Error::kBadChunk);
        input.remove_prefix(1);
        break;
      }

      case State::kChunkSizeLf:
        if (input.empty()) return Event::kNeedMore;
        if (input.front() != '\n') return fail(H1Error::kBadChunk);
        input.remove_prefix(1);
        if (left_ > 0) {
          state_ = State::kChunkData;
          break;
        }
        state_ = State::kTrailers;
        trailer_block_.clear();
        trailers_.clear();
        clear_lines();
        gathering_ = &trailer_block_;
        return read_trailers(input);

      case State::kChunkData: {
        if (input.empty()) return Event::kNeedMore;
        auto n = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
        data_ = input.substr(0, n);
        input.remove_prefix(n);
        left_ -= n;
        if (left_ == 0) state_ = State::kChunkCr;
        return Event::kData;
      }

      case State::kChunkCr:
      case State::kChunkLf:
        if (input.empty()) return Event::kNeedMore;
        if (input.front() != (state_ == State::kChunkCr ? '\r' : '\n')) return fail(H1Error::kBadChunk);
        input.remove_prefix(1);
        if (state_ == State::kChunkCr) {
          state_ = State::kChunkLf;
        } else {
          state_ = State::kChunkSize;
          left_ = 0;
          digits_ = 0;
        }
        break;

      default: return fail(H1Error::kBadChunk);  // not reached: next() sends other states elsewhere
    }
  }
}

H1Parser::Event H1Parser::read_trailers(std::string_view& input) {
  H1Error problem = H1Error::kNone;
  bool complete = gather(input, problem);
  if (problem != H1Error::kNone) return fail(problem);
  if (!complete) return Event::kNeedMore;
  if (H1Error error = parse_fields(trailer_block_.data(), 0, trailers_); error != H1Error::kNone) return fail(error);
  std::erase_if(trailers_, [](const FieldView& f) { return forbidden_in_trailers(f.name); });
  return end_message();
}

}  // namespace fairlead::http
