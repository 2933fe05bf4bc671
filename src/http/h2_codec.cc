#include "http/h2_codec.h"

#include <algorithm>
#include <cstring>

#include "base/put.h"
#include "http/h2_head.h"

namespace fairlead::http {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kData = 0, kHeaders = 1, kPriority = 2, kRstStream = 3, kSettings = 4, kPushPromise = 5, kPing = 6, kGoaway = 7,
                  kWindowUpdate = 8, kContinuation = 9;
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPriorityFlag = 32;
constexpr uint32_t kMaxFrame = 16384;              // of what we take; we announce no other size
constexpr int64_t kMaxWindow = 0x7fffffff;
constexpr size_t kKeepBytes = 16 * 1024;           // what idle buffers may keep
constexpr size_t kMaxStreamsKept = 32;

uint32_t read32(const char* p) {
  auto b = reinterpret_cast<const unsigned char*>(p);
  return static_cast<uint32_t>(b[0]) << 24 | static_cast<uint32_t>(b[1]) << 16 | static_cast<uint32_t>(b[2]) << 8 | b[3];
}
char* write32(char* p, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) *p++ = static_cast<char>(v >> shift);
  return p;
}
char* write_frame(char* p, uint32_t length, uint8_t type, uint8_t flags, H2Stream id) {
  *p++ = static_cast<char>(length >> 16);
  *p++ = static_cast<char>(length >> 8);
  *p++ = static_cast<char>(length);
  *p++ = static_cast<char>(type);
  *p++ = static_cast<char>(flags);
  return write32(p, static_cast<uint32_t>(id));
}

const char* text_of(H2Error error) {
  switch (error) {
    case H2Error::kNoError: return "no error";
    case H2Error::kProtocolError: return "protocol error";
    case H2Error::kInternalError: return "internal error";
    case H2Error::kFlowControlError: return "flow control error";
    case H2Error::kStreamClosed: return "stream closed";
    case H2Error::kFrameSizeError: return "frame size error";
    case H2Error::kRefusedStream: return "refused stream";
    case H2Error::kCancel: return "cancelled";
    case H2Error::kCompressionError: return "compression error";
    case H2Error::kConnectError: return "connect error";
    case H2Error::kEnhanceYourCalm: return "too much of what costs us more than the peer";
  }
  return "error";
}

// One section at a time is looked at on a thread, and its views end with the call.
thread_local HpackSection decoded;
thread_local std::vector<FieldView> regular;

}  // namespace

H2Codec::H2Codec(Side side, Sink& sink, const H2Options& options)
    : side_(side), sink_(sink), options_(options), receive_window_(std::max<int64_t>(options.connection_window_bytes, 65535)), buckets_(16) {
  if (options.floods.any()) floods_ = std::make_unique<FloodCounts>();
  char payload[36];
  char* p = payload;
  auto setting = [&](uint16_t id, uint32_t value) {
    *p++ = static_cast<char>(id >> 8);
    *p++ = static_cast<char>(id);
    p = write32(p, value);
  };
  if (side == Side::kServer) {
    preface_left_ = kPreface.size();
    setting(3, options.max_concurrent_streams);
    if (options.extended_connect) setting(8, 1);
  } else {
    output_ += kPreface;
    setting(2, 0);
    last_own_ = -1;
  }
  setting(4, options.initial_window_bytes);
  setting(6, options.max_header_list_bytes);
  put_frame(static_cast<uint32_t>(p - payload), kSettings, 0, 0, {payload, static_cast<size_t>(p - payload)});
  if (receive_window_ > 65535) put_window_update(0, static_cast<uint32_t>(receive_window_ - 65535));
}

H2Codec::~H2Codec() {
  for (Stream* s : buckets_)
    while (s) delete std::exchange(s, s->next_);
  for (Stream* s : closed_) delete s;
}

// ------------------------------------------------------------------------------------------------------------- streams

H2Codec::Stream* H2Codec::find(H2Stream id) const {
  for (Stream* s = buckets_[static_cast<size_t>(id >> 1) & (buckets_.size() - 1)]; s; s = s->next_)
    if (s->id == id) return s;
  return nullptr;
}

H2Codec::Stream& H2Codec::make(H2Stream id) {
  if (count_ >= buckets_.size()) {
    std::vector<Stream*> bigger(2 * buckets_.size());
    for (Stream* s : buckets_) {
      while (s) {
        Stream* next = s->next_;
        Stream*& slot = bigger[static_cast<size_t>(s->id >> 1) & (bigger.size() - 1)];
        s->next_ = std::exchange(slot, s);
        s = next;
      }
    }
    buckets_ = std::move(bigger);
  }
  std::unique_ptr<Stream> s;
  if (free_.empty()) {
    s = std::make_unique<Stream>();
  } else {
    s = std::move(free_.back());
    free_.pop_back();
  }
  s->id = id;
  s->send_window_ = peer_window_;
  s->receive_window_ = options_.initial_window_bytes;
  Stream*& slot = buckets_[static_cast<size_t>(id >> 1) & (buckets_.size() - 1)];
  s->next_ = std::exchange(slot, s.get());
  ++count_;
  return *s.release();
}

H2Codec::Stream* H2Codec::open() {
  if (dead_ || goaway_sent_ || goaway_received_ || last_own_ > 0x7ffffff0) return nullptr;
  last_own_ += 2;
  Stream& s = make(last_own_);
  s.head_sent_ = true;
  return &s;
}

// Out of the table at once, so that no frame finds it; told of and freed by settle().
void H2Codec::close(Stream& s, H2Error error) {
  if (s.closed_) return;
  s.closed_ = true;
  s.error_ = error;
  Stream** at = &buckets_[static_cast<size_t>(s.id >> 1) & (buckets_.size() - 1)];
  while (*at != &s) at = &(*at)->next_;
  *at = s.next_;
  s.next_ = nullptr;
  --count_;
  if (s.waiting_) std::erase(waiting_, &s);
  s.waiting_ = false;
  if (data_stream_ == &s) data_stream_ = nullptr;
  closed_.push_back(&s);
}

void H2Codec::ended(Stream& s) {
  if (s.received_end_ && s.sent_end_) close(s, H2Error::kNoError);
}

void H2Codec::settle() {
  while (!closed_.empty()) {
    std::unique_ptr<Stream> s(closed_.back());
    closed_.pop_back();
    sink_.on_closed(*s, s->error_);
    if (free_.size() >= kMaxStreamsKept) continue;
    std::string queue = std::move(s->queue_), trailers = std::move(s->trailers_);
    *s = Stream();
    if (queue.capacity() <= kKeepBytes) queue.clear(), s->queue_ = std::move(queue);
    if (trailers.capacity() <= kKeepBytes) trailers.clear(), s->trailers_ = std::move(trailers);
    free_.push_back(std::move(s));
  }
  if (count_ == 0) free_.clear();  // an idle connection keeps nothing
}

bool H2Codec::we_reset(H2Stream id) const { return std::ranges::find(resets_, static_cast<uint32_t>(id)) != std::end(resets_); }

void H2Codec::put_reset(H2Stream id, H2Error error) {
  char code[4];
  write32(code, static_cast<uint32_t>(error));
  put_frame(4, kRstStream, 0, id, {code, 4});
  resets_[next_reset_++ % std::size(resets_)] = static_cast<uint32_t>(id);
  count(&H2Counters::tx_reset);
}

void H2Codec::reset(Stream& s, H2Error error) {
  if (s.closed_) return;
  put_reset(s.id, error);
  close(s, error);
}

H2Error H2Codec::stream_error(Stream* s, H2Stream id, H2Error error) {
  if (!spend(2)) return H2Error::kEnhanceYourCalm;
  if (s) reset(*s, error);
  else put_reset(id, error);
  return H2Error::kNoError;
}

// ------------------------------------------------------------------------------------------------------------- writing

void H2Codec::put_frame(uint32_t length, uint8_t type, uint8_t flags, H2Stream id, std::string_view payload) {
  char head[9];
  write_frame(head, length, type, flags, id);
  output_.append(head, 9);
  output_ += payload;
  if (floods_) count_outbound(type);
}

void H2Codec::count_outbound(uint8_t type) {
  uint64_t end = base_ + output_.size();
  if (options_.floods.outbound_frames) floods_->frames.push_back(end);
  if (options_.floods.outbound_control_frames && (type == kPing || type == kSettings || type == kRstStream)) floods_->control.push_back(end);
  if (type == kData) ++floods_->data;
}

bool H2Codec::outbound_flood() const {
  const H2Floods& most = options_.floods;
  return (most.outbound_frames && floods_->frames.size() > *most.outbound_frames) ||
         (most.outbound_control_frames && floods_->control.size() > *most.outbound_control_frames);
}

// Of what each wants an answer to.
H2Error H2Codec::control_flood() {
  count(&H2Counters::outbound_control_flood);
  return H2Error::kEnhanceYourCalm;
}

// content: of the payload, without padding.
H2Error H2Codec::count_inbound(const Frame& f, uint32_t content) {
  const H2Floods& most = options_.floods;
  uint64_t H2Counters::*over = nullptr;
  switch (f.type) {
    case kHeaders:
      if (peer_initiated(f.id) && f.id > last_peer_) ++floods_->streams;
      [[fallthrough]];
    case kData:
    case kContinuation:
      floods_->empty = content == 0 && !(f.type != kContinuation && (f.flags & kEndStream)) ? floods_->empty + 1 : 0;
      if (most.empty_frames && floods_->empty > *most.empty_frames) over = &H2Counters::inbound_empty_frames_flood;
      break;
    case kPriority:
      if (most.priority_frames && ++floods_->priority > uint64_t{*most.priority_frames} * (1 + floods_->streams)) over = &H2Counters::inbound_priority_frames_flood;
      break;
    case kWindowUpdate:
      if (most.window_updates && ++floods_->window_updates > 5 + 2 * (floods_->streams + *most.window_updates * floods_->data))
        over = &H2Counters::inbound_window_update_frames_flood;
      break;
    default:
      break;
  }
  if (!over && outbound_flood()) {
    bool all = most.outbound_frames && floods_->frames.size() > *most.outbound_frames;
    over = all ? &H2Counters::outbound_flood : &H2Counters::outbound_control_flood;
  }
  if (!over) return H2Error::kNoError;
  count(over);
  return H2Error::kEnhanceYourCalm;
}

void H2Codec::put_window_update(H2Stream id, uint32_t bytes) {
  char value[4];
  write32(value, bytes);
  put_frame(4, kWindowUpdate, 0, id, {value, 4});
}

bool H2Codec::connection_specific(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 2: return name == "te" && value != "trailers";
    case 4: return name == "host";
    case 7: return name == "upgrade";
    case 10: return name == "connection" || name == "keep-alive";
    case 16: return name == "proxy-connection";
    case 17: return name == "transfer-encoding";
    default: return false;
  }
}

void H2Codec::end_section(Stream& s, size_t at, bool end) {
  size_t length = output_.size() - at - 9;
  s.bytes.wire_sent += length + 9;
  s.bytes.header_sent += length + 9;
  uint8_t flags = end ? kEndStream : 0;
  if (length <= peer_frame_) {
    write_frame(output_.data() + at, static_cast<uint32_t>(length), kHeaders, flags | kEndHeaders, s.id);
    if (floods_) count_outbound(kHeaders);
  } else {
    std::string section = output_.substr(at + 9);
    output_.resize(at);
    std::string_view rest = section;
    for (bool first = true; !rest.empty(); first = false) {
      std::string_view part = rest.substr(0, peer_frame_);
      rest.remove_prefix(part.size());
      uint8_t f = static_cast<uint8_t>((first ? flags : 0) | (rest.empty() ? kEndHeaders : 0));
      put_frame(static_cast<uint32_t>(part.size()), first ? kHeaders : kContinuation, f, s.id, part);
    }
  }
  if (end) {
    s.finished_ = s.sent_end_ = true;
    ended(s);
  }
}

size_t H2Codec::put_data(Stream& s, std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size() && s.send_window_ > 0 && send_window_ > 0 && output_.size() - start_ < options_.max_output_bytes) {
    size_t n = std::min({bytes.size() - done, static_cast<size_t>(s.send_window_), static_cast<size_t>(send_window_), static_cast<size_t>(peer_frame_)});
    s.last_data_at_ = base_ + output_.size();
    size_t old = output_.size();
    // The size that the function is handed is not looked at: libstdc++ 12 gives the capacity.
    output_.resize_and_overwrite(old + 9 + n, [&](char* begin, size_t) {
      char* end = base::put(write_frame(begin + old, static_cast<uint32_t>(n), kData, 0, s.id), bytes.substr(done, n));
      return static_cast<size_t>(end - begin);
    });
    if (floods_) count_outbound(kData);
    s.bytes.wire_sent += 9 + n;
    s.send_window_ -= static_cast<int64_t>(n);
    send_window_ -= static_cast<int64_t>(n);
    done += n;
  }
  return done;
}

void H2Codec::wait(Stream& s) {
  if (!std::exchange(s.waiting_, true)) waiting_.push_back(&s);
}

void H2Codec::write(Stream& s, std::string_view bytes) {
  if (s.closed_ || s.finished_ || bytes.empty()) return;
  if (s.pending() == 0) bytes.remove_prefix(put_data(s, bytes));
  if (bytes.empty()) return;
  if (s.sent_ > 64 * 1024 && s.sent_ > s.queue_.size() / 2) s.queue_.erase(0, std::exchange(s.sent_, 0));
  s.queue_ += bytes;
  wait(s);
}

void H2Codec::finish(Stream& s) {
  if (s.closed_ || std::exchange(s.finished_, true)) return;
  if (s.pending()) return;  // pump() comes back to it
  if (!s.trailers_.empty()) {
    size_t at = output_.size();
    output_.append(9, '\0');
    output_ += s.trailers_;
    return end_section(s, at, true);
  }
  if (s.last_data_at_ >= base_ + start_ && s.last_data_at_ != 0) {
    // Its last frame has not left yet: it says itself that it is the last.
    output_[s.last_data_at_ - base_ + 4] |= kEndStream;
  } else {
    put_frame(0, kData, kEndStream, s.id, {});
    s.bytes.wire_sent += 9;
  }
  s.sent_end_ = true;
  ended(s);
}

// A frame's worth from each stream that waits, in turn.
void H2Codec::pump() {
  bool moved = true;
  while (moved && !waiting_.empty() && send_window_ > 0 && output_.size() - start_ < options_.max_output_bytes) {
    moved = false;
    std::vector<Stream*> turn;
    turn.swap(waiting_);
    for (Stream* s : turn) s->waiting_ = false;
    for (Stream* s : turn) {
      if (s->closed_) continue;
      size_t n = put_data(*s, std::string_view(s->queue_).substr(s->sent_, peer_frame_));
      s->sent_ += n;
      moved |= n > 0;
      if (s->pending()) {
        wait(*s);
        continue;
      }
      s->queue_.clear();
      s->sent_ = 0;
      if (s->queue_.capacity() > kKeepBytes) s->queue_ = std::string();
      if (s->finished_) {
        s->finished_ = false;
        finish(*s);
      } else {
        sink_.on_drained(*s);
      }
    }
  }
}

std::string_view H2Codec::output() {
  if (!waiting_.empty()) pump();
  return std::string_view(output_).substr(start_);
}

void H2Codec::written(size_t bytes) {
  start_ += bytes;
  if (floods_)
    for (auto* sent : {&floods_->frames, &floods_->control})
      while (!sent->empty() && sent->front() <= base_ + start_) sent->pop_front();
  if (start_ < output_.size()) {
    if (start_ > std::max<size_t>(options_.max_output_bytes, kKeepBytes)) {
      output_.erase(0, start_);
      base_ += std::exchange(start_, 0);
    }
    return;
  }
  base_ += output_.size();
  start_ = 0;
  if (output_.capacity() > 2 * kKeepBytes) output_ = std::string();
  else output_.clear();
}

bool H2Codec::over() const {
  if (start_ < output_.size() || !closed_.empty()) return false;
  // A client that says GOAWAY still may ask (PING) and still closes the connection itself.
  return dead_ || (count_ == 0 && (goaway_sent_ || (goaway_received_ && side_ == Side::kClient)));
}

void H2Codec::ping() { put_frame(8, kPing, 0, 0, std::string_view("\0\0\0\0\0\0\0\0", 8)); }

void H2Codec::announce_goaway() {
  if (goaway_sent_) return;
  count(&H2Counters::goaway_sent);
  put_frame(8, 7, 0, 0, std::string_view("\x7f\xff\xff\xff\0\0\0\0", 8));
}

void H2Codec::goaway(H2Error error) {
  if (goaway_sent_ && error == H2Error::kNoError) return;
  goaway_sent_ = true;
  count(&H2Counters::goaway_sent);
  char payload[8];
  goaway_last_ = std::min(goaway_last_, last_peer_);
  write32(write32(payload, static_cast<uint32_t>(goaway_last_)), static_cast<uint32_t>(error));
  put_frame(8, kGoaway, 0, 0, {payload, 8});
}

void H2Codec::consume(Stream& s, size_t bytes) {
  if (s.closed_ || s.received_end_) return;
  s.unacknowledged_ += bytes;
  if (s.unacknowledged_ * 2 < options_.initial_window_bytes) return;
  s.receive_window_ += static_cast<int64_t>(s.unacknowledged_);
  put_window_update(s.id, static_cast<uint32_t>(std::exchange(s.unacknowledged_, 0)));
}

// ------------------------------------------------------------------------------------------------------------- reading

base::Status H2Codec::fail(H2Error error) {
  dead_ = true;
  goaway(error);
  return base::fail(base::Code::kInvalidArgument, "HTTP/2: {}", text_of(error));
}

base::Status H2Codec::feed(std::string_view in, base::TimePoint now) {
  if (dead_) return base::fail(base::Code::kUnavailable, "HTTP/2: the connection is over");
  if (budget_at_ != now) {
    if (budget_at_ != base::TimePoint{})
      budget_ = std::min(kBudget, budget_ + kBudgetPerSecond * std::chrono::duration<double>(now - budget_at_).count());
    budget_at_ = now;
  }
  if (preface_left_) {
    size_t n = std::min(preface_left_, in.size());
    if (in.substr(0, n) != kPreface.substr(kPreface.size() - preface_left_, n)) return fail(H2Error::kProtocolError);
    preface_left_ -= n;
    in.remove_prefix(n);
  }
  while (!in.empty() || in_data_) {
    if (in_data_) {
      if (data_left_) {
        if (in.empty()) break;
        std::string_view piece = in.substr(0, data_left_);
        in.remove_prefix(piece.size());
        data_left_ -= static_cast<uint32_t>(piece.size());
        if (H2Error e = on_data(data_stream_, data_, piece, data_left_ == 0 && padding_left_ == 0); e != H2Error::kNoError) return fail(e);
        if (data_left_) continue;
      }
      if (padding_left_) {
        if (in.empty()) break;
        size_t n = std::min<size_t>(padding_left_, in.size());
        in.remove_prefix(n);
        padding_left_ -= static_cast<uint32_t>(n);
        if (padding_left_) continue;
        if (H2Error e = on_data(data_stream_, data_, {}, true); e != H2Error::kNoError) return fail(e);
      }
      in_data_ = false;
      continue;
    }
    // A frame header, from what was kept and what is new.
    std::string_view frame = in;
    bool kept = !partial_.empty();
    if (kept) {
      size_t want = partial_.size() < 9 ? 9 - partial_.size() : 0;
      if (want) {
        partial_ += in.substr(0, want);
        in.remove_prefix(std::min(want, in.size()));
        if (partial_.size() < 9) break;
      }
      frame = partial_;
    } else if (in.size() < 9) {
      partial_ = in;
      break;
    }
    Frame f{static_cast<uint32_t>(static_cast<unsigned char>(frame[0])) << 16 | static_cast<uint32_t>(static_cast<unsigned char>(frame[1])) << 8 |
                static_cast<unsigned char>(frame[2]),
            static_cast<uint8_t>(frame[3]), static_cast<uint8_t>(frame[4]), static_cast<H2Stream>(read32(frame.data() + 5) & 0x7fffffff)};
    if (f.length > kMaxFrame) return fail(H2Error::kFrameSizeError);
    if (!settings_seen_ && (f.type != kSettings || (f.flags & kAck))) return fail(H2Error::kProtocolError);
    if (section_stream_ && (f.type != kContinuation || f.id != section_stream_)) return fail(H2Error::kProtocolError);

    if (f.type == kData && (!(f.flags & kPadded) || f.length == 0)) {
      if (kept) partial_.clear();
      else in.remove_prefix(9);
      if (f.flags & kPadded) return fail(H2Error::kFrameSizeError);
      if (floods_)
        if (H2Error e = count_inbound(f, f.length); e != H2Error::kNoError) return fail(e);
      if (H2Error e = begin_data(f); e != H2Error::kNoError) return fail(e);
      data_left_ = f.length;
      padding_left_ = 0;
      in_data_ = true;
      if (f.length == 0) {
        in_data_ = false;
        if (H2Error e = on_data(data_stream_, data_, {}, true); e != H2Error::kNoError) return fail(e);
      }
      continue;
    }
    if (f.type == kData) {  // padded: its first octet is needed, too
      char padding;
      if (kept) {
        if (in.empty()) break;
        padding = in.front();
        in.remove_prefix(1);
        partial_.clear();
      } else {
        if (in.size() < 10) {
          partial_ = in.substr(0, 9);
          in = in.substr(9);
          continue;
        }
        padding = in[9];
        in.remove_prefix(10);
      }
      uint32_t pad = static_cast<unsigned char>(padding);
      if (pad >= f.length) return fail(H2Error::kProtocolError);
      if (floods_)
        if (H2Error e = count_inbound(f, f.length - 1 - pad); e != H2Error::kNoError) return fail(e);
      if (H2Error e = begin_data(f); e != H2Error::kNoError) return fail(e);
      // The padding and its length are used up at once.
      if (data_stream_) consume(*data_stream_, pad + 1);
      padding_left_ = pad;
      data_left_ = f.length - 1 - pad;
      in_data_ = true;
      if (data_left_ == 0 && padding_left_ == 0) {
        in_data_ = false;
        if (H2Error e = on_data(data_stream_, data_, {}, true); e != H2Error::kNoError) return fail(e);
      }
      continue;
    }
    // Every other frame is looked at whole.
    std::string_view payload;
    if (kept) {
      size_t want = 9 + f.length - partial_.size();
      partial_ += in.substr(0, want);
      in.remove_prefix(std::min(want, in.size()));
      if (partial_.size() < 9 + f.length) break;
      payload = std::string_view(partial_).substr(9);
    } else {
      if (in.size() < 9 + f.length) {
        partial_ = in;
        break;
      }
      payload = in.substr(9, f.length);
      in.remove_prefix(9 + f.length);
    }
    H2Error e = on_frame(f, payload);
    if (kept) {
      if (partial_.capacity() > kKeepBytes / 4) partial_ = std::string();
      else partial_.clear();
    }
    if (e != H2Error::kNoError) return fail(e);
  }
  return {};
}

// Bytes of a HEADERS frame that are no content: the padding and its length (section 6.2). Too much of it is on_headers()'s to refuse.
uint32_t H2Codec::padding_of(const Frame& f, std::string_view payload) {
  if (f.type != kHeaders || !(f.flags & kPadded) || payload.empty()) return 0;
  return std::min(f.length, 1u + static_cast<unsigned char>(payload.front()));
}

H2Error H2Codec::on_frame(const Frame& f, std::string_view payload) {
  if (floods_)
    if (H2Error e = count_inbound(f, f.length - padding_of(f, payload)); e != H2Error::kNoError) return e;
  switch (f.type) {
    case kHeaders: return on_headers(f, payload);
    case kContinuation:
      if (!section_stream_) return H2Error::kProtocolError;
      if (!spend(1)) {
        if (payload.empty()) count(&H2Counters::inbound_empty_frames_flood);
        return H2Error::kEnhanceYourCalm;
      }
      if (section_.size() + payload.size() > options_.max_header_list_bytes + 2 * kMaxFrame) return H2Error::kEnhanceYourCalm;
      section_ += payload;
      section_bytes_ += 9 + f.length;
      if (!(f.flags & kEndHeaders)) return H2Error::kNoError;
      if (!decoder_.decode(std::exchange(section_, {}), options_.max_header_list_bytes, options_.max_header_count, decoded))
        return H2Error::kCompressionError;
      return on_section();
    case kPriority:
      if (f.id == 0) return H2Error::kProtocolError;
      if (f.length == 5 && (read32(payload.data()) & 0x7fffffff) != static_cast<uint32_t>(f.id)) return H2Error::kNoError;
      if (Stream* s = find(f.id)) return stream_error(s, f.id, f.length == 5 ? H2Error::kProtocolError : H2Error::kFrameSizeError);
      return f.length == 5 ? H2Error::kProtocolError : H2Error::kFrameSizeError;
    case kRstStream: return on_rst_stream(f, payload);
    case kSettings: return on_settings(f, payload);
    case kPushPromise: return H2Error::kProtocolError;  // we never allow it
    case kPing:
      if (f.id != 0) return H2Error::kProtocolError;
      if (f.length != 8) return H2Error::kFrameSizeError;
      if (f.flags & kAck) {
        sink_.on_ping_ack();
        return H2Error::kNoError;
      }
      if (!options_.floods.outbound_control_frames && !spend(1)) return control_flood();
      put_frame(8, kPing, kAck, 0, payload);
      return H2Error::kNoError;
    case kGoaway: {
      if (f.id != 0) return H2Error::kProtocolError;
      if (f.length < 8) return H2Error::kFrameSizeError;
      goaway_received_ = true;
      auto last = static_cast<H2Stream>(read32(payload.data()) & 0x7fffffff);
      if (side_ == Side::kClient) {
        // What the peer says it will not process can go elsewhere.
        std::vector<Stream*> refused;
        for (Stream* s : buckets_)
          for (; s; s = s->next_)
            if (s->id > last) refused.push_back(s);
        for (Stream* s : refused) close(*s, H2Error::kRefusedStream);
      }
      sink_.on_goaway(last, static_cast<H2Error>(read32(payload.data() + 4)));
      return H2Error::kNoError;
    }
    case kWindowUpdate: return on_window_update(f, payload);
    default: return H2Error::kNoError;  // unknown frames are ignored (section 4.1)
  }
}

H2Error H2Codec::on_headers(const Frame& f, std::string_view payload) {
  if (f.id == 0) return H2Error::kProtocolError;
  size_t pad = 0;
  if (f.flags & kPadded) {
    if (payload.empty()) return H2Error::kFrameSizeError;
    pad = static_cast<unsigned char>(payload.front());
    payload.remove_prefix(1);
  }
  if (f.flags & kPriorityFlag) {
    if (payload.size() < 5) return H2Error::kFrameSizeError;
    if ((read32(payload.data()) & 0x7fffffff) == static_cast<uint32_t>(f.id)) return H2Error::kProtocolError;  // depends on itself
    payload.remove_prefix(5);
  }
  if (pad > payload.size()) return H2Error::kProtocolError;
  payload.remove_suffix(pad);
  section_stream_ = f.id;
  section_bytes_ = 9 + f.length;
  section_flags_ = f.flags;
  if (f.flags & kEndHeaders) {
    // Whole, as nearly always: decoded from where it is.
    if (!decoder_.decode(payload, options_.max_header_list_bytes, options_.max_header_count, decoded)) return H2Error::kCompressionError;
    return on_section();
  }
  section_ = payload;
  return H2Error::kNoError;
}

// A header section is complete and in `decoded`: of a request, a response, or trailers.
H2Error H2Codec::on_section() {
  H2Stream id = std::exchange(section_stream_, 0);
  bool end = section_flags_ & kEndStream;
  Stream* s = find(id);
  if (!s) {
    if (!idle(id)) count(&H2Counters::headers_cb_no_stream);
    if (side_ == Side::kClient) {
      if (idle(id) || peer_initiated(id)) return H2Error::kProtocolError;
      return we_reset(id) ? H2Error::kNoError : H2Error::kStreamClosed;
    }
    if (!peer_initiated(id)) return H2Error::kProtocolError;
    if (!idle(id)) return we_reset(id) ? H2Error::kNoError : H2Error::kStreamClosed;
    last_peer_ = id;
    if (goaway_sent_) {  // it was told that these are not looked at
      resets_[next_reset_++ % std::size(resets_)] = static_cast<uint32_t>(id);
      return H2Error::kNoError;
    }
    if (count_ >= options_.max_concurrent_streams) {
      count(&H2Counters::stream_refused_errors);
      return stream_error(nullptr, id, H2Error::kRefusedStream);
    }
    s = &make(id);
  }
  s->bytes.wire_received += section_bytes_;
  s->bytes.header_received += section_bytes_;
  if (s->received_end_) return stream_error(s, id, H2Error::kStreamClosed);
  auto malformed = [&] {
    count(&H2Counters::rx_messaging_error);
    return stream_error(s, id, H2Error::kProtocolError);
  };
  if (decoded.too_large) {
    count(&H2Counters::header_overflow);
    return stream_error(s, id, H2Error::kEnhanceYourCalm);
  }
  if (decoded.malformed) return malformed();

  if (s->head_received_) {  // trailers
    bool pseudo = std::ranges::any_of(decoded.fields, [](const FieldView& f) { return f.name.starts_with(':'); });
    if (side_ == Side::kServer) count(&H2Counters::trailers);
    if (pseudo || !end || (s->expected_ > 0)) return malformed();
    s->received_end_ = true;
    regular.clear();
    for (const FieldView& f : decoded.fields)
      if (!connection_specific(f.name, f.value) && f.name != "content-length") regular.push_back(f);
    sink_.on_trailers(*s, regular, decoded.text());
    if (!s->closed_) sink_.on_end(*s);
    ended(*s);
    return H2Error::kNoError;
  }
  H2Head head;
  if (!read_head(decoded, side_ == Side::kClient, options_.extended_connect, head, regular, s->expected_)) return malformed();
  head.fields = regular;
  if (side_ == Side::kClient) {
    s->no_body_expected_ |= head.status == 304;
    if (head.status < 200) s->expected_ = -1;
  }
  bool interim = side_ == Side::kClient && head.status < 200;
  if (interim && (end || head.status == 101)) return malformed();
  s->head_received_ = !interim;
  if (end) {
    if (s->expected_ > 0 && !s->no_body_expected_) return malformed();
    s->received_end_ = true;
  }
  sink_.on_head(*s, head, end);
  if (end && !s->closed_) sink_.on_end(*s);
  ended(*s);
  return H2Error::kNoError;
}

H2Error H2Codec::begin_data(const Frame& f) {
  data_ = f;
  data_stream_ = nullptr;
  if (f.id == 0) return H2Error::kProtocolError;
  auto length = static_cast<int64_t>(f.length);
  receive_window_ -= length;
  if (receive_window_ < 0) return H2Error::kFlowControlError;
  unacknowledged_ += f.length;
  if (unacknowledged_ * 2 >= std::max<size_t>(options_.connection_window_bytes, 65535)) {
    receive_window_ += static_cast<int64_t>(unacknowledged_);
    put_window_update(0, static_cast<uint32_t>(std::exchange(unacknowledged_, 0)));
  }
  if (f.length == 0 && !(f.flags & kEndStream) && !options_.floods.empty_frames && !spend(1)) {
    count(&H2Counters::inbound_empty_frames_flood);
    return H2Error::kEnhanceYourCalm;
  }
  Stream* s = find(f.id);
  if (!s) {
    if (idle(f.id)) return H2Error::kProtocolError;
    return we_reset(f.id) ? H2Error::kNoError : stream_error(nullptr, f.id, H2Error::kStreamClosed);
  }
  if (!s->head_received_) return H2Error::kProtocolError;
  if (s->received_end_) return stream_error(s, f.id, H2Error::kStreamClosed);
  s->bytes.wire_received += 9 + f.length;
  s->receive_window_ -= length;
  if (s->receive_window_ < 0) return stream_error(s, f.id, H2Error::kFlowControlError);
  data_stream_ = s;
  return H2Error::kNoError;
}

H2Error H2Codec::on_data(Stream* s, const Frame& f, std::string_view bytes, bool last) {
  if (!s) return H2Error::kNoError;
  if (!bytes.empty()) {
    if (s->expected_ >= 0 && !s->no_body_expected_ && (s->expected_ -= static_cast<int64_t>(bytes.size())) < 0) {
      data_stream_ = nullptr;
      count(&H2Counters::rx_messaging_error);
      return stream_error(s, f.id, H2Error::kProtocolError);
    }
    sink_.on_data(*s, bytes);
    if (data_stream_ != s) return H2Error::kNoError;  // reset meanwhile
  }
  if (!last || !(f.flags & kEndStream)) return H2Error::kNoError;
  data_stream_ = nullptr;
  if (s->expected_ > 0 && !s->no_body_expected_) {
    count(&H2Counters::rx_messaging_error);
    return stream_error(s, f.id, H2Error::kProtocolError);
  }
  s->received_end_ = true;
  sink_.on_end(*s);
  ended(*s);
  return H2Error::kNoError;
}

H2Error H2Codec::on_settings(const Frame& f, std::string_view payload) {
  if (f.id != 0) return H2Error::kProtocolError;
  if (f.flags & kAck) return f.length == 0 ? H2Error::kNoError : H2Error::kFrameSizeError;
  if (f.length % 6 != 0) return H2Error::kFrameSizeError;
  if (settings_seen_ && !options_.floods.outbound_control_frames && !spend(5)) return control_flood();
  if (!std::exchange(settings_seen_, true)) peer_max_streams_ = 0x7fffffff;  // no limit was named until now
  for (; !payload.empty(); payload.remove_prefix(6)) {
    unsigned id = static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
    uint32_t value = read32(payload.data() + 2);
    switch (id) {
      case 2:
        if (value > 1 || (value == 1 && side_ == Side::kClient)) return H2Error::kProtocolError;
        break;
      case 3: peer_max_streams_ = value; break;
      case 4: {
        if (value > kMaxWindow) return H2Error::kFlowControlError;
        int64_t change = static_cast<int64_t>(value) - peer_window_;
        peer_window_ = value;
        for (Stream* s : buckets_) {
          for (; s; s = s->next_) {
            s->send_window_ += change;
            if (s->send_window_ > kMaxWindow) return H2Error::kFlowControlError;
          }
        }
        break;
      }
      case 5:
        if (value < 16384 || value > 16777215) return H2Error::kProtocolError;
        peer_frame_ = std::min<uint32_t>(value, 65536);  // larger ones would only keep other streams waiting
        break;
      case 8:
        if (value > 1) return H2Error::kProtocolError;
        peer_connect_protocol_ = value == 1;
        break;
      default: break;  // HEADER_TABLE_SIZE: our encoder uses no dynamic table; the rest is advice or unknown
    }
  }
  put_frame(0, kSettings, kAck, 0, {});
  return H2Error::kNoError;
}

H2Error H2Codec::on_window_update(const Frame& f, std::string_view payload) {
  if (f.length != 4) return H2Error::kFrameSizeError;
  int64_t more = read32(payload.data()) & 0x7fffffff;
  if (f.id == 0) {
    if (more == 0) return H2Error::kProtocolError;
    send_window_ += more;
    return send_window_ > kMaxWindow ? H2Error::kFlowControlError : H2Error::kNoError;
  }
  Stream* s = find(f.id);
  if (!s) return idle(f.id) ? H2Error::kProtocolError : H2Error::kNoError;
  if (more == 0) return stream_error(s, f.id, H2Error::kProtocolError);
  s->send_window_ += more;
  if (s->send_window_ > kMaxWindow) return stream_error(s, f.id, H2Error::kFlowControlError);
  return H2Error::kNoError;
}

H2Error H2Codec::on_rst_stream(const Frame& f, std::string_view payload) {
  if (f.id == 0) return H2Error::kProtocolError;
  if (f.length != 4) return H2Error::kFrameSizeError;
  Stream* s = find(f.id);
  if (!s && idle(f.id)) return H2Error::kProtocolError;
  count(&H2Counters::rx_reset);
  if (!s) return H2Error::kNoError;
  if (side_ == Side::kServer && !spend(1)) {
    reset_flood_ = true;
    return H2Error::kEnhanceYourCalm;
  }
  close(*s, static_cast<H2Error>(read32(payload.data())));
  return H2Error::kNoError;
}

}  // namespace fairlead::http
