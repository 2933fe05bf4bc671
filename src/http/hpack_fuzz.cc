// Field sections through our decoder and nghttp2's, one connection's worth: both must take or refuse each, and read the
// same. Input: sections, each with a length byte before it.
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "http/hpack.h"

using namespace fairlead::http;

namespace {

// False: the section can't be decoded.
bool inflate(nghttp2_hd_inflater* inflater, std::string_view block, std::string& out) {
  auto* at = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv field;
    int flags = 0;
    auto used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, at, left, 1);
    if (used < 0) return false;
    at += used, left -= static_cast<size_t>(used);
    if (flags & NGHTTP2_HD_INFLATE_EMIT) {
      out.append(reinterpret_cast<char*>(field.name), field.namelen).append("\1");
      out.append(reinterpret_cast<char*>(field.value), field.valuelen).append("\2");
    }
    if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    if (left == 0 && !(flags & NGHTTP2_HD_INFLATE_EMIT)) break;
  }
  nghttp2_hd_inflate_end_headers(inflater);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  nghttp2_hd_inflater* theirs = nullptr;
  if (nghttp2_hd_inflate_new(&theirs) != 0) return 0;
  HpackDecoder ours, again;
  HpackSection section, second;
  while (input.size() > 1) {
    size_t length = static_cast<uint8_t>(input[0]);
    std::string_view block = input.substr(1, length);
    input.remove_prefix(1 + block.size());
    std::string expected, seen, written;
    bool taken = ours.decode(block, 1 << 20, 10'000, section);
    if (bool theirs_taken = inflate(theirs, block, expected); taken != theirs_taken) {
      std::fprintf(stderr, "a section of %zu bytes: %s, %s by nghttp2, which read %s\n", block.size(), taken ? "taken" : "refused", theirs_taken ? "taken" : "refused", expected.c_str());
      std::abort();
    }
    if (!taken) break;
    if (section.too_large) std::abort();
    for (const auto& f : section.fields) {
      seen.append(f.name).append("\1").append(f.value).append("\2");
      size_t old = written.size();
      written.resize(old + hpack_most(f.name, f.value));
      written.resize(static_cast<size_t>(hpack_put(written.data() + old, f.name, f.value) - written.data()));
    }
    // What is malformed is not kept.
    if (!section.malformed && seen != expected) std::abort();
    // What we write reads as it was.
    HpackDecoder fresh;
    if (!fresh.decode(written, 1 << 20, 10'000, second) || second.fields.size() != section.fields.size()) std::abort();
    for (size_t i = 0; i < second.fields.size(); ++i)
      if (second.fields[i].name != section.fields[i].name || second.fields[i].value != section.fields[i].value) std::abort();
    // A small limit says so, and never costs the table its step.
    if (!again.decode(block, 64, 2, second)) std::abort();
  }
  nghttp2_hd_inflate_del(theirs);
  return 0;
}
