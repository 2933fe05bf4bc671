// HTTP/2 (RFC 9113) on the wire, without I/O, for the proxy's hot path: bytes in, events out, bytes out.
//
//   feed(bytes) -> on_head, on_data, on_trailers, on_end, on_drained, on_goaway
//   begin/respond, write, finish, reset -> output() -> written(n)
//   settle() -> on_closed for every stream whose both sides are done
//
// Heads are views into a section that is decoded anew for each; frames are written straight into the connection's output.
// Flow control is the consumer's, as with H2Session (h2_session.h), which serves everybody else: received data opens the
// stream's window when consume() says that it was used up, the connection's at once.
// Strict: what RFC 9113 calls malformed is refused. What costs us more than the peer (resets, pings, settings, empty
// frames, continuations) is paid from a budget that refills with time; a peer that spends it is told to calm down.
// One thread at a time. No call of the sink runs inside a submitting call.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "http/byte_counts.h"
#include "http/h2_session.h"
#include "http/hpack.h"

namespace fairlead::http {

// A request or response as it was read. Views are valid during the call.
struct H2Head {
  std::string_view method, path, authority, scheme, protocol;  // requests; authority: from Host when there is no :authority
  int status = 0;                                              // responses
  std::span<const FieldView> fields;                           // without pseudo header fields and Host; one Cookie
  std::string_view text;                                       // holds every view that is not static
};

class H2Codec {
 public:
  using Side = H2Session::Side;

  class Stream {
   public:
    H2Stream id = 0;
    void* owner = nullptr;      // the sink's; set in on_head or after request()
    ByteCounts bytes;
    size_t pending() const { return queue_.size() - sent_; }

   private:
    friend class H2Codec;
    Stream* next_ = nullptr;    // in its bucket
    int64_t send_window_ = 0, receive_window_ = 0;
    int64_t expected_ = -1;     // content-length less what came, when there was one
    uint64_t last_data_at_ = 0; // where its last DATA frame begins in all that was ever written; 0: none
    size_t unacknowledged_ = 0;
    std::string queue_;         // waits for a window or the socket
    size_t sent_ = 0;
    std::string trailers_;      // encoded
    bool head_received_ = false, received_end_ = false, head_sent_ = false, finished_ = false, sent_end_ = false;
    bool waiting_ = false, closed_ = false, no_body_expected_ = false;
    H2Error error_ = H2Error::kNoError;
  };

  class Sink {
   public:
    virtual void on_head(Stream& stream, const H2Head& head, bool end) = 0;  // client: interim heads (1xx), too
    virtual void on_data(Stream& stream, std::string_view bytes) = 0;
    virtual void on_trailers(Stream& stream, std::span<const FieldView> fields, std::string_view text) = 0;
    virtual void on_end(Stream& stream) = 0;                    // after everything else
    virtual void on_drained(Stream& stream) = 0;                // pending() fell to 0
    virtual void on_closed(Stream& stream, H2Error error) = 0;  // last call for a stream; kNoError: both sides ended
    virtual void on_goaway(H2Stream last_stream, H2Error error) { (void)last_stream, (void)error; }
    virtual void on_ping_ack() {}                               // to ping()

   protected:
    ~Sink() = default;
  };

  H2Codec(Side side, Sink& sink, const H2Options& options);
  ~H2Codec();
  H2Codec(const H2Codec&) = delete;
  H2Codec& operator=(const H2Codec&) = delete;

  // Bytes from the peer. An error ends the connection; output() then still holds the GOAWAY.
  base::Status feed(std::string_view bytes, base::TimePoint now);

  // Bytes for the peer; written() takes off what the socket took.
  std::string_view output();
  void written(size_t bytes);
  bool over() const;           // nothing more to read or write: close the connection
  void settle();               // tells of closed streams, and frees them

  // Client. nullptr when no stream can be opened: safe to retry elsewhere. `fields` as for respond().
  template <class Fields>
  Stream* request(std::string_view method, std::string_view scheme, std::string_view authority, std::string_view path,
                  std::string_view protocol, const Fields& fields, bool end) {
    Stream* s = open();
    if (!s) return nullptr;
    s->no_body_expected_ = method == "HEAD";
    bool connect = method == "CONNECT" && protocol.empty();
    auto pseudo = [&](auto&& visit) {
      visit(":method", method);
      if (!connect) visit(":scheme", scheme), visit(":path", path);
      visit(":authority", authority);
      if (!protocol.empty()) visit(":protocol", protocol);
    };
    send_section(*s, 0, fields, pseudo, end);
    return s;
  }
  // Server. fields: anything iterable of {name, value}; connection-specific ones are left out. status < 200: interim.
  template <class Fields>
  void respond(Stream& s, int status, const Fields& fields, bool end) {
    if (s.closed_ || s.head_sent_) return;
    send_section(s, status, fields, [](auto&&) {}, end && status >= 200);
    if (status >= 200) s.head_sent_ = true;
  }
  void write(Stream& stream, std::string_view bytes);
  void finish(Stream& stream);                       // END_STREAM once what was written is sent
  template <class Fields>
  void finish(Stream& s, const Fields& trailers) {
    if (s.closed_ || s.finished_) return;
    for (const auto& [name, value] : trailers) {
      size_t old = s.trailers_.size();
      s.trailers_.resize_and_overwrite(old + hpack_most(name, value), [&](char* begin, size_t) {
        return static_cast<size_t>(hpack_put(begin + old, name, value) - begin);
      });
    }
    finish(s);
  }
  void reset(Stream& stream, H2Error error);
  void consume(Stream& stream, size_t bytes);        // received bytes used up: the stream's window opens again

  void goaway(H2Error error = H2Error::kNoError);    // no new streams from the peer; those it has go on
  // Graceful: GOAWAY with the highest id first (RFC 9113 section 6.8), so that what is under way here is still taken; goaway()
  // follows when it had time to arrive.
  void ping();
  void announce_goaway();
  size_t streams() const { return count_; }
  size_t unsent() const { return output_.size() - start_; }  // bytes that the socket did not take
  size_t unread() const { return partial_.size() + section_.size(); }  // of a frame or section that is not whole yet
  bool reset_flood() const { return reset_flood_; }  // feed() failed for too many resets
  template <class Visit>
  void each(Visit&& visit) {                         // open streams; the visitor neither opens nor closes any
    for (Stream* s : buckets_)
      for (; s; s = s->next_) visit(*s);
  }
  uint32_t peer_max_streams() const { return peer_max_streams_; }
  bool peer_allows_connect_protocol() const { return peer_connect_protocol_; }

 private:
  struct Frame {
    uint32_t length;
    uint8_t type, flags;
    H2Stream id;
  };
  static bool connection_specific(std::string_view name, std::string_view value);

  template <class Fields, class Pseudo>
  void send_section(Stream& s, int status, const Fields& fields, Pseudo&& pseudo, bool end) {
    size_t most = 9 + 16;
    pseudo([&](std::string_view n, std::string_view v) { most += hpack_most(n, v); });
    for (const auto& [name, value] : fields) most += hpack_most(name, value);
    size_t old = output_.size();
    output_.resize_and_overwrite(old + most, [&](char* begin, size_t) {
      char* p = begin + old + 9;
      if (status) p = hpack_put_status(p, status);
      pseudo([&](std::string_view n, std::string_view v) { p = hpack_put(p, n, v); });
      for (const auto& [name, value] : fields)
        if (!connection_specific(name, value)) p = hpack_put(p, name, value);
      return static_cast<size_t>(p - begin);
    });
    end_section(s, old, end);
  }
  void end_section(Stream& s, size_t at, bool end);  // fills in the frame header at `at`; splits what is too long

  Stream* open();
  Stream* find(H2Stream id) const;
  Stream& make(H2Stream id);
  void close(Stream& s, H2Error error);
  void ended(Stream& s);                             // one side is done: closed when both are
  void put_frame(uint32_t length, uint8_t type, uint8_t flags, H2Stream id, std::string_view payload);
  void put_window_update(H2Stream id, uint32_t bytes);
  size_t put_data(Stream& s, std::string_view bytes);  // what windows and the output's size allow
  void pump();
  void wait(Stream& s);

  H2Error on_frame(const Frame& f, std::string_view payload);
  H2Error on_headers(const Frame& f, std::string_view payload);
  H2Error on_section();
  H2Error on_data(Stream* s, const Frame& f, std::string_view bytes, bool last);
  H2Error begin_data(const Frame& f);
  H2Error on_settings(const Frame& f, std::string_view payload);
  H2Error on_window_update(const Frame& f, std::string_view payload);
  H2Error on_rst_stream(const Frame& f, std::string_view payload);
  H2Error stream_error(Stream* s, H2Stream id, H2Error error);
  bool peer_initiated(H2Stream id) const { return (id & 1) == (side_ == Side::kServer ? 1 : 0); }
  bool idle(H2Stream id) const { return id > (peer_initiated(id) ? last_peer_ : last_own_); }
  bool we_reset(H2Stream id) const;
  // Where frames end that the peer has not read yet, and what it sent; only with options_.floods.
  struct FloodCounts {
    std::deque<uint64_t> frames, control;
    uint64_t empty = 0, priority = 0, window_updates = 0, streams = 0, data = 0;
  };
  void count_outbound(uint8_t type);
  bool outbound_flood() const;
  H2Error count_inbound(const Frame& f, uint32_t content);
  static uint32_t padding_of(const Frame& f, std::string_view payload);
  bool spend(int cost) { return (budget_ -= cost) >= 0; }
  void count(uint64_t H2Counters::*what) {
    if (options_.counters) ++(options_.counters->*what);
  }
  void put_reset(H2Stream id, H2Error error);
  H2Error control_flood();
  base::Status fail(H2Error error);

  Side side_;
  Sink& sink_;
  H2Options options_;

  // reading
  std::string partial_;                // a frame that is not whole yet
  size_t preface_left_ = 0;
  bool settings_seen_ = false, dead_ = false, reset_flood_ = false;
  Frame data_{};                       // the DATA frame whose payload is being read
  Stream* data_stream_ = nullptr;
  uint32_t data_left_ = 0, padding_left_ = 0;
  bool in_data_ = false;
  H2Stream section_stream_ = 0;        // waits for CONTINUATION
  uint8_t section_flags_ = 0;
  uint64_t section_bytes_ = 0;         // of its frames
  std::string section_;
  HpackDecoder decoder_;
  int64_t receive_window_;
  size_t unacknowledged_ = 0;
  H2Stream last_peer_ = 0, last_own_ = 0;
  double budget_ = kBudget;
  base::TimePoint budget_at_{};
  std::unique_ptr<FloodCounts> floods_;  // nullptr: no limit was set
  static constexpr double kBudget = 1000, kBudgetPerSecond = 100;

  // writing
  std::string output_;
  size_t start_ = 0;                   // of output_ that is not written yet
  uint64_t base_ = 1;                  // where output_ begins in all that was ever written
  int64_t send_window_ = 65535;
  uint32_t peer_window_ = 65535, peer_frame_ = 16384, peer_max_streams_ = 100;
  bool peer_connect_protocol_ = false;
  bool goaway_sent_ = false, goaway_received_ = false;
  H2Stream goaway_last_ = 0x7fffffff;

  // streams
  std::vector<Stream*> buckets_;
  size_t count_ = 0;
  std::vector<Stream*> waiting_;       // have something queued
  std::vector<Stream*> closed_;        // to be told of
  std::vector<std::unique_ptr<Stream>> free_;
  uint32_t resets_[128] = {};           // streams that we reset lately: what the peer had under way for them is no error
  size_t next_reset_ = 0;
};

}  // namespace fairlead::http
