// Fuzzes the HTTP/1.1 parser. First byte: kind, what a response answers, and how the rest is cut. The same bytes whole
// and in pieces must give the same events; what was read must never lie outside of the input.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1_codec.h"

using namespace fairlead::http;

namespace {

std::string run(H1Parser::Kind kind, std::string_view answers, std::string_view bytes, size_t step) {
  H1Parser parser(kind, {4096, 32});
  parser.expect_response_to(answers);
  std::string out, body;
  size_t position = 0;
  while (position < bytes.size()) {
    std::string piece(bytes.substr(position, step));
    std::string_view input = piece;
    while (true) {
      size_t before = input.size();
      auto event = parser.next(input);
      if (input.size() > before) std::abort();
      if (event == H1Parser::Event::kNeedMore) {
        if (!input.empty()) std::abort();
        break;
      }
      if (event == H1Parser::Event::kError) return out + body + "!";
      if (event == H1Parser::Event::kHead) {
        const H1Head& head = parser.head();
        out += '\n';
        out += head.method;
        out += head.target;
        out += std::to_string(head.status);
        for (const auto& f : head.fields) {
          out += f.name;
          out += '=';
          out += f.value;
          // What was accepted must not be able to start a line elsewhere.
          if (f.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) std::abort();
        }
        if (kind == H1Parser::Kind::kRequest) (void)to_request_head(head, false);
        else (void)to_response_head(head);
      } else if (event == H1Parser::Event::kData) {
        if (parser.data().empty()) std::abort();
        body += parser.data();
      } else {
        out += body + "$";
        body.clear();
        for (const auto& f : parser.trailers()) out += f.name, out += f.value;
        if (kind == H1Parser::Kind::kResponse && parser.head().framing == BodyFraming::kTunnel) return out;
      }
    }
    position += step;
  }
  parser.finish();
  return out + body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto kind = data[0] & 1 ? H1Parser::Kind::kResponse : H1Parser::Kind::kRequest;
  std::string_view answers = data[0] & 2 ? "HEAD" : data[0] & 4 ? "CONNECT" : "GET";
  size_t step = 1u + (data[0] >> 4);
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (run(kind, answers, bytes, bytes.size() + 1) != run(kind, answers, bytes, step)) std::abort();
  return 0;
}
