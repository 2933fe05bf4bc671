// HTTP/2 frames through H2Codec and H2Session: the same bytes whole and in pieces give the same events, and whatever a
// peer says, an application that reads, answers, resets and sends trailers gets through it.
//
// The first byte: 1 client, 2 H2Session, 4 without the preface and SETTINGS that a peer begins with (they are in the
// input), the high half the size of the pieces.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "http/h2_codec.h"

using namespace fairlead;
using namespace fairlead::http;
using namespace std::string_view_literals;

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kSettings = "\0\0\0\4\0\0\0\0\0"sv;
using Fields = std::array<FieldView, 1>;
constexpr Fields kAnswer{{{"content-type", "text/plain"}}}, kTrailers{{{"grpc-status", "0"}}};

void drain(auto& connection) {
  for (int i = 0; i < 64; ++i) {
    auto& out = connection.output();
    if (out.empty()) return;
    out.clear();
  }
  std::abort();  // nothing is said, and yet there is always more to send
}

void drain(H2Codec& connection) {
  for (int i = 0; i < 64; ++i) {
    std::string_view out = connection.output();
    if (out.empty()) return;
    connection.written(out.size());
  }
  std::abort();
}

// What was heard, in order, and the bodies.
struct Record {
  std::string text;
  std::map<H2Stream, std::string> bodies;
  std::set<H2Stream> whole;        // those whose end was heard
  void line(char what, H2Stream stream) {
    text += '\n';
    text += what;
    text += std::to_string(stream);
    text += ' ';
    if (what == 'e' || what == 'H') whole.insert(stream);
  }
  void data(H2Stream stream, std::string_view bytes) { bodies[stream] += bytes; }
  // The same, but for where a body was cut off.
  bool operator==(const Record& other) const {
    if (text != other.text) return false;
    for (const auto& [stream, body] : bodies) {
      auto at = other.bodies.find(stream);
      std::string_view theirs = at == other.bodies.end() ? std::string_view() : at->second;
      if (whole.contains(stream) ? body != theirs : !body.starts_with(theirs) && !theirs.starts_with(body)) return false;
    }
    return true;
  }
  void field(std::string_view name, std::string_view value) {
    text.append(name).append("=").append(value).append(";");
    if (value.find_first_of("\r\n\0"sv) != std::string_view::npos) std::abort();
  }
};

struct OverCodec final : H2Codec::Sink {
  Record record;
  H2Codec connection;
  bool client;
  explicit OverCodec(bool is_client) : connection(is_client ? H2Codec::Side::kClient : H2Codec::Side::kServer, *this, {}), client(is_client) {
    if (!client) return;
    for (int i = 0; i < 3; ++i) {
      H2Codec::Stream* s = connection.request("POST", "http", "a", "/", "", kAnswer, i == 0);
      if (s && i == 1) connection.write(*s, "hello"), connection.finish(*s, kTrailers);
    }
  }
  void on_head(H2Codec::Stream& s, const H2Head& head, bool end) override {
    record.line(end ? 'H' : 'h', s.id);
    record.text.append(head.method).append(head.scheme).append(head.authority).append(head.path).append(head.protocol).append(std::to_string(head.status));
    for (const auto& f : head.fields) record.field(f.name, f.value);
    s.owner = this;
  }
  void on_data(H2Codec::Stream& s, std::string_view bytes) override {
    record.data(s.id, bytes);
    used.emplace_back(s.id, bytes.size());
  }
  void on_trailers(H2Codec::Stream& s, std::span<const FieldView> fields, std::string_view) override {
    record.line('t', s.id);
    for (const auto& f : fields) record.field(f.name, f.value);
  }
  void on_end(H2Codec::Stream& s) override { record.line('e', s.id), ended.push_back(s.id); }
  void on_drained(H2Codec::Stream&) override {}
  void on_closed(H2Codec::Stream& s, H2Error error) override { record.line('c', s.id), record.text += std::to_string(static_cast<int>(error)); }
  void on_goaway(H2Stream last, H2Error error) override { record.line('g', last), record.text += std::to_string(static_cast<int>(error)); }

  H2Codec::Stream* find(H2Stream id) {
    H2Codec::Stream* found = nullptr;
    connection.each([&](H2Codec::Stream& s) { if (s.id == id) found = &s; });
    return found;
  }
  bool feed(std::string_view bytes) { return connection.feed(bytes, base::TimePoint{}).has_value(); }
  void answer() {
    connection.settle();
    for (auto [id, n] : used)
      if (auto* s = find(id)) connection.consume(*s, n);
    for (H2Stream id : ended) {
      auto* s = find(id);
      if (!s || client) continue;
      if (id % 8 == 7) { connection.reset(*s, H2Error::kCancel); continue; }
      connection.respond(*s, 200, kAnswer, id % 8 == 1);
      if (id % 8 == 1) continue;
      connection.write(*s, std::string(static_cast<size_t>(id % 8) * 9000, 'x'));
      connection.finish(*s, kTrailers);
    }
    used.clear(), ended.clear();
    connection.settle();
  }
  std::vector<std::pair<H2Stream, size_t>> used;
  std::vector<H2Stream> ended;
};

struct OverSession final : H2Sink {
  Record record;
  H2Session connection;
  bool client;
  explicit OverSession(bool is_client) : connection(is_client ? H2Session::Side::kClient : H2Session::Side::kServer, *this), client(is_client) {
    RequestHead head;
    head.method = "POST", head.target = "/", head.authority = "a", head.scheme = "http";
    for (int i = 0; client && i < 3; ++i) {
      auto s = connection.request(head, i == 0);
      if (s && i == 1) connection.write(*s, "hello"), connection.finish(*s, trailers());
    }
  }
  static Headers trailers() {
    Headers h;
    h.add("grpc-status", "0");
    return h;
  }
  void on_request(H2Stream s, RequestHead head, bool end) override {
    record.line(end ? 'H' : 'h', s);
    record.text.append(head.method).append(head.scheme).append(head.authority).append(head.target).append(head.protocol);
    for (const auto& [name, value] : head.headers) record.field(name, value);
    if (end) ended.push_back(s);
  }
  void on_response(H2Stream s, ResponseHead head, bool end) override {
    record.line(end ? 'H' : 'h', s);
    record.text += std::to_string(head.status);
    for (const auto& [name, value] : head.headers) record.field(name, value);
  }
  void on_data(H2Stream s, std::string_view bytes) override { record.data(s, bytes), used.emplace_back(s, bytes.size()); }
  void on_trailers(H2Stream s, Headers fields) override {
    record.line('t', s);
    for (const auto& [name, value] : fields) record.field(name, value);
  }
  void on_end(H2Stream s) override { record.line('e', s), ended.push_back(s); }
  void on_drained(H2Stream) override {}
  void on_closed(H2Stream s, H2Error error) override { record.line('c', s), record.text += std::to_string(static_cast<int>(error)); }
  void on_goaway(H2Stream last, H2Error error) override { record.line('g', last), record.text += std::to_string(static_cast<int>(error)); }

  bool feed(std::string_view bytes) { return connection.feed(bytes).has_value(); }
  void answer() {
    for (auto [id, n] : used) connection.consume(id, n);
    for (H2Stream id : ended) {
      if (client) continue;
      if (id % 8 == 7) { connection.reset(id, H2Error::kCancel); continue; }
      ResponseHead head;
      head.headers.add("content-type", "text/plain");
      connection.respond(id, head, id % 8 == 1);
      if (id % 8 == 1) continue;
      connection.write(id, std::string(static_cast<size_t>(id % 8) * 9000, 'x'));
      connection.finish(id, trailers());
    }
    used.clear(), ended.clear();
  }
  std::vector<std::pair<H2Stream, size_t>> used;
  std::vector<H2Stream> ended;
};

// Everything that was heard. talk: answers are given and sent between the pieces; else what is heard is all there is, and
// it can't depend on how the bytes were cut.
template <class Over>
Record run(bool client, std::string_view bytes, size_t step, bool greet, bool talk) {
  Over over(client);
  bool well = true;
  auto say = [&](std::string_view piece) {
    well = well && over.feed(piece);
    if (talk) over.answer(), drain(over.connection);
  };
  if (greet) {
    if (!client) say(kPreface);
    say(kSettings);
  }
  for (; well && !bytes.empty() && !over.connection.over(); bytes.remove_prefix(std::min(step, bytes.size()))) say(bytes.substr(0, step));
  // What was said before the connection was lost is heard, in pieces and whole.
  drain(over.connection);
  over.connection.goaway();
  drain(over.connection);
  if (!well) over.record.text += "\n!";
  return std::move(over.record);
}

template <class Over>
void all(uint8_t options, std::string_view bytes) {
  bool client = options & 1, greet = !(options & 4);
  size_t step = 1u + (options >> 4);
  Record whole = run<Over>(client, bytes, bytes.size() + 1, greet, false), cut = run<Over>(client, bytes, step, greet, false);
  if (!(whole == cut)) {
    std::fprintf(stderr, "whole:%s\nin pieces of %zu:%s\n", whole.text.c_str(), step, cut.text.c_str());
    std::abort();
  }
  (void)run<Over>(client, bytes, step * 7, greet, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] & 2) all<OverSession>(data[0], bytes);
  else all<OverCodec>(data[0], bytes);
  return 0;
}
