#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace fairlead::http {

struct H2Session::Stream {
  // Head or trailers being received.
  RequestHead request;
  ResponseHead response;
  Headers trailers;
  ByteCounts* counts = nullptr;
  size_t header_bytes = 0;
  size_t header_count = 0;
  bool head_received = false;

  // What waits to be sent.
  std::string queue;
  size_t sent = 0;          // of queue
  bool finished = false;    // END_STREAM after the queue
  bool has_trailers = false;
  bool submitted = false;   // a final head was submitted, with a data provider
  Headers trailers_out;

  size_t pending() const { return queue.size() - sent; }
};

namespace {

nghttp2_nv field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())), reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
          name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

// Fields that HTTP/2 forbids (RFC 9113 section 8.2.2).
bool connection_specific(std::string_view name, std::string_view value) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" || name == "transfer-encoding" ||
         name == "upgrade" || (name == "te" && value != "trailers");
}

void append_fields(std::vector<nghttp2_nv>& out, const Headers& headers) {
  for (const auto& [name, value] : headers)
    if (!connection_specific(name, value) && name != "host") out.push_back(field(name, value));
}

}  // namespace

// nghttp2's C callbacks.
struct H2Session::Callbacks {
  static H2Session& self(void* user) { return *static_cast<H2Session*>(user); }

  // nghttp2 ignores HEADERS on a lower id than the last, since they may be late trailers of a stream that was reset. On an
  // id that was never used they are a new stream out of order: an error of the connection (RFC 9113 section 5.1.1).
  static int on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* hd, void* user) {
    H2Session& s = self(user);
    if (hd->type == NGHTTP2_DATA)
      if (Stream* stream = s.find(hd->stream_id); stream && stream->counts) stream->counts->wire_received += 9 + hd->length;
    if (hd->type != NGHTTP2_HEADERS || s.side_ != Side::kServer || hd->stream_id % 2 == 0) return 0;
    if (hd->stream_id > s.highest_) {
      constexpr size_t kMostRanges = 64;  // of a peer that skips ids on and on, the oldest are forgotten
      H2Stream expected = s.highest_ == 0 ? 1 : s.highest_ + 2;
      if (hd->stream_id > expected) {
        if (s.skipped_.size() == kMostRanges) s.skipped_.erase(s.skipped_.begin());
        s.skipped_.emplace_back(expected, hd->stream_id - 2);
      }
      s.highest_ = hd->stream_id;
      return 0;
    }
    for (auto [from, to] : s.skipped_) {
      if (hd->stream_id < from || hd->stream_id > to) continue;
      nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
      break;
    }
    return 0;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& s = self(user);
    Stream* stream = s.find(frame->hd.stream_id);
    if (!stream) {
      auto made = std::make_unique<Stream>();
      made->request.version = made->response.version = Version::kHttp2;
      stream = (s.streams_[frame->hd.stream_id] = std::move(made)).get();
    }
    stream->header_bytes = stream->header_count = 0;
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* n, size_t n_size, const uint8_t* v, size_t v_size,
                       uint8_t, void* user) {
    H2Session& s = self(user);
    Stream* stream = s.find(frame->hd.stream_id);
    if (!stream) {
      s.count(&H2Counters::headers_cb_no_stream);
      return 0;
    }
    std::string_view name(reinterpret_cast<const char*>(n), n_size), value(reinterpret_cast<const char*>(v), v_size);
    stream->header_bytes += n_size + v_size + 32;  // the accounting of RFC 9113 section 6.5.2
    if (stream->header_bytes > s.options_.max_header_list_bytes || ++stream->header_count > s.options_.max_header_count) {
      s.count(&H2Counters::header_overflow);
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets the stream
    }
    if (stream->head_received) {
      if (!name.starts_with(':')) stream->trailers.add(name, value);
      return 0;
    }
    if (s.side_ == Side::kServer) {
      RequestHead& head = stream->request;
      if (name == ":method") head.method = value;
      else if (name == ":path") head.target = value;
      else if (name == ":authority") head.authority = value;
      else if (name == ":scheme") head.scheme = value;
      else if (name == ":protocol") head.protocol = value;
      else if (name == "host") {
        if (head.authority.empty()) head.authority = value;
      } else if (const std::string* old = name == "cookie" ? head.headers.find("cookie") : nullptr) {
        head.headers.set("cookie", *old + "; " + std::string(value));  // crumbs become one field (section 8.2.3)
      } else {
        head.headers.add(name, value);
      }
    } else if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), stream->response.status);
    } else {
      stream->response.headers.add(name, value);
    }
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& s = self(user);
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    H2Stream id = frame->hd.stream_id;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        Stream* stream = s.find(id);
        if (!stream) break;
        if (stream->counts) {
          stream->counts->wire_received += 9 + frame->hd.length;
          stream->counts->header_received += 9 + frame->hd.length;
        }
        if (stream->head_received) {
          s.sink_.on_trailers(id, std::move(stream->trailers));
        } else if (s.side_ == Side::kServer) {
          stream->head_received = true;
          s.sink_.on_request(id, std::move(stream->request), end);
        } else {
          ResponseHead head = std::move(stream->response);
          stream->response = {};
          stream->response.version = Version::kHttp2;
          stream->head_received = head.status >= 200;
          s.sink_.on_response(id, std::move(head), end);
        }
        if (end) s.sink_.on_end(id);
        break;
      }
      case NGHTTP2_DATA:
        if (end && s.find(id)) s.sink_.on_end(id);
        break;
      case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK) s.sink_.on_ping_ack();
        break;
      case NGHTTP2_GOAWAY:
        s.sink_.on_goaway(frame->goaway.last_stream_id, static_cast<H2Error>(frame->goaway.error_code));
        break;
      case NGHTTP2_RST_STREAM:
        s.count(&H2Counters::rx_reset);
        break;
      default: break;
    }
    return 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame*, int error, void* user) {
    if (error == NGHTTP2_ERR_REFUSED_STREAM) self(user).count(&H2Counters::stream_refused_errors);
    if (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING) self(user).count(&H2Counters::rx_messaging_error);
    return 0;
  }

  static int on_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) self(user).count(&H2Counters::goaway_sent);
    if (frame->hd.type == NGHTTP2_RST_STREAM) self(user).count(&H2Counters::tx_reset);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Stream* stream = self(user).find(frame->hd.stream_id);
    if (!stream || !stream->counts) return 0;
    stream->counts->wire_sent += 9 + frame->hd.length;
    if (frame->hd.type == NGHTTP2_HEADERS) stream->counts->header_sent += 9 + frame->hd.length;
    return 0;
  }

  static int on_data_chunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    H2Session& s = self(user);
    // The connection's window opens at once, the stream's by consume(): a stream that nobody reads stops itself, not others.
    nghttp2_session_consume_connection(s.session_, size);
    if (s.find(id)) s.sink_.on_data(id, {reinterpret_cast<const char*>(data), size});
    return 0;
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    H2Session& s = self(user);
    auto it = s.streams_.find(id);
    if (it == s.streams_.end()) return 0;
    auto stream = std::move(it->second);
    s.streams_.erase(it);
    s.sink_.on_closed(id, static_cast<H2Error>(error));
    return 0;
  }

  static ssize_t read_data(nghttp2_session* session, int32_t id, uint8_t* buffer, size_t length, uint32_t* flags, nghttp2_data_source*,
                           void* user) {
    H2Session& s = self(user);
    Stream* stream = s.find(id);
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t n = std::min(length, stream->pending());
    std::copy_n(stream->queue.data() + stream->sent, n, buffer);
    stream->sent += n;
    bool drained = stream->pending() == 0;
    if (drained) {
      stream->queue.clear();
      stream->sent = 0;
    }
    if (drained && stream->finished) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (stream->has_trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        std::vector<nghttp2_nv> fields;
        append_fields(fields, stream->trailers_out);
        nghttp2_submit_trailer(session, id, fields.data(), fields.size());
      }
      return static_cast<ssize_t>(n);
    }
    if (n == 0) return NGHTTP2_ERR_DEFERRED;
    if (drained) s.sink_.on_drained(id);
    return static_cast<ssize_t>(n);
  }
};

H2Session::H2Session(Side side, H2Sink& sink, const H2Options& options) : side_(side), sink_(sink), options_(options) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::on_sent);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, Callbacks::on_invalid_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_stream_close);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_max_outbound_ack(option, options.floods.outbound_control_frames.value_or(1000));  // a flood of pings and settings ends the connection
  if (side == Side::kServer) nghttp2_session_server_new2(&session_, callbacks, this, option);
  else nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);

  std::vector<nghttp2_settings_entry> settings;
  if (side == Side::kServer) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams});
    if (options.extended_connect) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  settings.push_back({NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.initial_window_bytes});
  settings.push_back({NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.max_header_list_bytes});
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(options.connection_window_bytes));
}

H2Session::~H2Session() {
  streams_.clear();  // nghttp2_session_del calls no on_stream_close
  nghttp2_session_del(session_);
}

H2Session::Stream* H2Session::find(H2Stream stream) const {
  auto it = streams_.find(stream);
  return it == streams_.end() ? nullptr : it->second.get();
}

base::Status H2Session::feed(std::string_view bytes) {
  ssize_t n = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (n < 0) {
    auto code = n == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? base::Code::kInvalidArgument : base::Code::kUnavailable;
    return base::fail(code, "HTTP/2: {}", nghttp2_strerror(static_cast<int>(n)));
  }
  return {};
}

std::string& H2Session::output(size_t max_bytes) {
  while (output_.size() < max_bytes) {
    const uint8_t* data = nullptr;
    ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n <= 0) break;
    output_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
  }
  return output_;
}

bool H2Session::wants_write() const { return !output_.empty() || nghttp2_session_want_write(session_); }
bool H2Session::over() const {
  return output_.empty() && !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_);
}

base::Result<H2Stream> H2Session::request(const RequestHead& head, bool end_stream) {
  std::vector<nghttp2_nv> fields;
  fields.reserve(head.headers.fields().size() + 5);
  fields.push_back(field(":method", head.method));
  bool connect = head.method == "CONNECT" && head.protocol.empty();
  if (!connect) {
    fields.push_back(field(":scheme", head.scheme.empty() ? std::string_view("http") : std::string_view(head.scheme)));
    fields.push_back(field(":path", head.target));
  }
  fields.push_back(field(":authority", head.authority));
  if (!head.protocol.empty()) fields.push_back(field(":protocol", head.protocol));
  append_fields(fields, head.headers);
  nghttp2_data_provider provider{{}, Callbacks::read_data};
  int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), end_stream ? nullptr : &provider, nullptr);
  if (id < 0) return base::fail(base::Code::kUnavailable, "HTTP/2 request refused: {}", nghttp2_strerror(id));
  auto stream = std::make_unique<Stream>();
  stream->response.version = Version::kHttp2;
  stream->submitted = true;
  stream->finished = end_stream;
  streams_[id] = std::move(stream);
  return id;
}

void H2Session::respond(H2Stream id, const ResponseHead& head, bool end_stream) {
  Stream* stream = find(id);
  if (!stream || stream->submitted) return;
  char status[8];
  auto [end, ec] = std::to_chars(status, status + sizeof status, head.status);
  (void)ec;
  std::vector<nghttp2_nv> fields;
  fields.reserve(head.headers.fields().size() + 1);
  fields.push_back(field(":status", {status, static_cast<size_t>(end - status)}));
  append_fields(fields, head.headers);
  if (head.status < 200) {
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, fields.data(), fields.size(), nullptr);
    return;
  }
  stream->submitted = true;
  stream->finished = end_stream;
  nghttp2_data_provider provider{{}, Callbacks::read_data};
  nghttp2_submit_response(session_, id, fields.data(), fields.size(), end_stream ? nullptr : &provider);
}

void H2Session::write(H2Stream id, std::string_view bytes) {
  Stream* stream = find(id);
  if (!stream || stream->finished || bytes.empty()) return;
  if (stream->sent > 64 * 1024 && stream->sent > stream->queue.size() / 2) {
    stream->queue.erase(0, stream->sent);
    stream->sent = 0;
  }
  stream->queue += bytes;
  nghttp2_session_resume_data(session_, id);
}

void H2Session::finish(H2Stream id, const Headers& trailers) {
  Stream* stream = find(id);
  if (!stream || stream->finished) return;
  stream->finished = true;
  stream->has_trailers = !trailers.empty();
  stream->trailers_out = trailers;
  nghttp2_session_resume_data(session_, id);
}

void H2Session::reset(H2Stream id, H2Error error) {
  if (find(id)) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<uint32_t>(error));
}

void H2Session::consume(H2Stream id, size_t bytes) {
  if (find(id)) nghttp2_session_consume_stream(session_, id, bytes);
}

void H2Session::count(H2Stream stream, ByteCounts* into) {
  if (Stream* s = find(stream)) s->counts = into;
}

size_t H2Session::waiting() const {
  size_t sum = 0;
  for (auto& [id, stream] : streams_) sum += stream->pending();
  return sum;
}

size_t H2Session::pending(H2Stream id) const {
  Stream* stream = find(id);
  return stream ? stream->pending() : 0;
}

void H2Session::goaway(H2Error error) {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), static_cast<uint32_t>(error),
                        nullptr, 0);
}
void H2Session::shutdown_notice() { nghttp2_submit_shutdown_notice(session_); }
void H2Session::ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }
uint32_t H2Session::peer_max_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}
bool H2Session::peer_allows_connect_protocol() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

}  // namespace fairlead::http
