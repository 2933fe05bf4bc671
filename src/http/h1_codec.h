// HTTP/1.1 on the wire (RFC 9112), without I/O: bytes in, events out, bytes out. For the proxy's hot path, the server
// and the client alike.
//
// Strict: what two implementations could read differently is refused (Content-Length beside Transfer-Encoding, folded
// lines, bare CR or LF, space before a colon, differing lengths ...), so that nothing can be smuggled past.
// One thread at a time. A parser allocates only while its buffers grow to the largest head seen.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace fairlead::http {

struct FieldView {
  std::string_view name;   // lower-case
  std::string_view value;  // without surrounding white space
};

// How the end of a message's body is found (RFC 9112 section 6.3).
enum class BodyFraming : uint8_t {
  kNone,        // no body at all
  kLength,      // content_length bytes
  kChunked,     // chunked transfer coding
  kUntilClose,  // responses only: until the connection ends
  kTunnel,      // 101, or 2xx to CONNECT: what follows is not HTTP
};

enum class H1Error : uint8_t {
  kNone,
  kBadStartLine,
  kBadVersion,
  kBadTarget,
  kBadLineEnd,       // bare CR or LF
  kFoldedLine,       // obs-fold
  kBadFieldName,     // also white space before the colon
  kBadFieldValue,
  kBadHost,          // missing, repeated or malformed Host in HTTP/1.1
  kHeadTooLarge,     // H1Limits::max_head_bytes
  kTooManyFields,    // H1Limits::max_fields
  kBadContentLength, // not a number, or two that differ
  kLengthAndCoding,  // Content-Length beside Transfer-Encoding
  kBadCoding,        // Transfer-Encoding other than "chunked", or in HTTP/1.0
  kBadChunk,
  kTrailersTooLarge,
  kTruncated,        // the connection ended inside a message
};
std::string_view to_string(H1Error error);  // a sentence
int status_for(H1Error error);              // what a server answers: 400, 431, 501, 505

// A head as it was read. Every view stays valid until the parser begins the next message.
struct H1Head {
  std::string_view method;   // requests
  std::string_view target;   // requests: as sent (origin, absolute, authority or asterisk form)
  int status = 0;            // responses
  std::string_view reason;   // responses
  Version version = Version::kHttp11;
  std::string_view block;    // the bytes that every other view lies in
  std::span<const FieldView> fields;  // in order, Host included; identical repeated Content-Length only once
  std::string_view host;     // the Host field
  BodyFraming framing = BodyFraming::kNone;
  uint64_t content_length = 0;     // kLength; for HEAD and 304 what was announced
  bool has_content_length = false;
  bool keep_alive = true;          // the connection may carry another message after this one
  bool expect_continue = false;    // requests: "Expect: 100-continue"
  std::string_view upgrade;        // value of Upgrade when Connection names it; else ""

  std::string_view get(std::string_view lower_name) const;  // "" when missing; the first when repeated
  bool interim() const { return status >= 100 && status < 200 && status != 101; }
};

// Owned copies. Requests: authority from an absolute-form target or Host (left out of headers), target in origin form.
RequestHead to_request_head(const H1Head& head, bool secure);
ResponseHead to_response_head(const H1Head& head);

struct H1Limits {
  size_t max_head_bytes = 64 * 1024;  // start line and fields; trailers have the same limit of their own
  size_t max_fields = 200;
};

class H1Parser {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };
  enum class Event : uint8_t {
    kNeedMore,  // all of the input is consumed
    kHead,      // head() is set; a response with head().interim() is followed by another head
    kData,      // data() is a piece of the body, a view into the input
    kEnd,       // the message is complete; trailers() is set. The next call begins the next message
    kError,     // error() is set; the parser stays in this state
  };

  explicit H1Parser(Kind kind, H1Limits limits = {}) : kind_(kind), limits_(limits) {}
  H1Parser(const H1Parser&) = delete;
  H1Parser& operator=(const H1Parser&) = delete;

  // Consumes from the front of `input` up to the next event. Never consumes bytes behind the end of a message, so that
  // a pipelined request, or what follows an upgrade, is still in `input` after kEnd. Call until kNeedMore.
  Event next(std::string_view& input);
  // The connection ended: kEnd (a kUntilClose body is complete), kNeedMore (between messages: a clean end), or kError.
  Event finish();

  // Responses: what the response about to be read answers, before its first byte. HEAD and CONNECT change framing.
  void expect_response_to(std::string_view method);

  const H1Head& head() const { return head_; }
  std::string_view data() const { return data_; }
  std::span<const FieldView> trailers() const { return trailers_; }
  H1Error error() const { return error_; }
  // The name as it was sent, when keep_names(true) came before the head; else the lower-case one. Of head() and trailers().
  void keep_names(bool on) { keep_names_ = on; }
  std::string_view sent_name(const FieldView& field) const;
  // Between two messages, nothing of the next one read.
  bool idle() const { return state_ == State::kHead && (head_done_ || block_.empty()); }
  void reset(H1Limits limits);  // as new, keeping the buffers
  size_t buffer_bytes() const { return block_.capacity() + trailer_block_.capacity() + sent_block_.capacity(); }

 private:
  enum class State : uint8_t {
    kHead, kBodyBegin, kLengthData, kUntilClose,
    kChunkSize, kChunkExtension, kChunkSizeLf, kChunkData, kChunkCr, kChunkLf, kTrailers,
    kEndPending, kError,
  };

  Event fail(H1Error error);
  Event read_head(std::string_view& input);
  Event read_body(std::string_view& input);
  Event read_trailers(std::string_view& input);
  bool gather(std::string_view& input, H1Error& problem);  // true when block_ holds a whole field section
  void clear_lines();
  H1Error parse_request_line(char* begin, char* end);
  H1Error parse_status_line(char* begin, char* end);
  H1Error parse_fields(char* block, size_t first_line, std::vector<FieldView>& into);
  H1Error interpret_fields();  // framing, keep-alive, Host
  Event end_message();

  Kind kind_;
  State state_ = State::kHead;
  H1Error error_ = H1Error::kNone;
  bool to_head_ = false;
  bool to_connect_ = false;
  bool extension_named_ = false;    // a ";" came after the chunk's size
  uint8_t digits_ = 0;              // of the chunk's size
  bool keep_names_ = false;
  bool head_done_ = false;          // block_ belongs to the message being read, not to the next one
  H1Limits limits_;
  std::string block_;               // the head's bytes, names lowered in place
  std::string trailer_block_;
  std::string sent_block_;          // block_ before names were lowered, with keep_names_
  std::string* gathering_ = &block_;
  std::vector<uint32_t> lines_;     // where each line of the section being gathered ends (behind its LF)
  int unpaired_ = 0;                // CRs less LFs in the section being gathered
  bool odd_bytes_ = false;          // other control characters (but HTAB) in it
  uint64_t left_ = 0;               // bytes of the body or chunk still to come
  size_t extension_bytes_ = 0;      // of all chunks of this message
  std::vector<FieldView> fields_;
  std::vector<FieldView> trailers_;
  std::string_view data_;
  H1Head head_;
};

// --- writing. All append to `out`. Bytes that would end a line (CR, LF, NUL) in a value are written as spaces.
void h1_append_request_line(std::string& out, std::string_view method, std::string_view target);
void h1_append_status_line(std::string& out, int status, std::string_view reason = {});  // reason: the standard one
void h1_append_field(std::string& out, std::string_view name, std::string_view value);
void h1_append_field(std::string& out, std::string_view name, uint64_t value);
inline void h1_append_end(std::string& out) { out += "\r\n"; }
// One chunk (nothing for empty `bytes`, which would end the body), and the end with trailers.
void h1_append_chunk(std::string& out, std::string_view bytes);
void h1_append_last_chunk(std::string& out, std::span<const FieldView> trailers = {});
void h1_append_last_chunk(std::string& out, const Headers& trailers);
// Only "1a2b\r\n", for callers that write body bytes from where they are; follow the bytes with CRLF. Returns length.
size_t h1_chunk_header(char (&buffer)[20], size_t bytes);

// Whole heads. Connection, Content-Length and Transfer-Encoding among the headers are left out (case: lower) and
// written from the arguments; length is used with kLength. keep_alive false writes "connection: close".
void h1_append_request_head(std::string& out, const RequestHead& head, BodyFraming framing, uint64_t length, bool keep_alive = true);
void h1_append_response_head(std::string& out, const ResponseHead& head, BodyFraming framing, uint64_t length, bool keep_alive = true);

}  // namespace fairlead::http
