#include <gtest/gtest.h>

#include "sample/httpbin.h"

namespace fairlead::sample {
namespace {

http::RequestHead get(std::string target) {
  http::RequestHead request;
  request.method = "GET";
  request.target = std::move(target);
  request.authority = "httpbin:8000";
  return request;
}

TEST(HttpbinEcho, GivesListsInGoAndStringsInPython) {
  auto request = get("/get?a=1&b=2&b=3");
  request.headers.add("user-agent", "curl");
  const auto python = echo_json(Dialect::kPython, request, "10.0.0.1", "", false);
  EXPECT_EQ(python["args"]["a"].as_string(), "1");
  EXPECT_EQ(python["args"]["b"].size(), 2u);
  EXPECT_EQ(python["headers"]["User-Agent"].as_string(), "curl");
  EXPECT_EQ(python["headers"]["Host"].as_string(), "httpbin:8000");
  EXPECT_EQ(python["url"].as_string(), "http://httpbin:8000/get?a=1&b=2&b=3");
  EXPECT_FALSE(python.contains("data"));
  const auto go = echo_json(Dialect::kGo, request, "10.0.0.1", "", true);
  EXPECT_EQ(go["args"]["a"][0].as_string(), "1");
  EXPECT_EQ(go["headers"]["User-Agent"][0].as_string(), "curl");
  EXPECT_EQ(go["method"].as_string(), "GET");
}

TEST(HttpbinEcho, ReadsForms) {
  auto request = get("/post");
  request.method = "POST";
  request.headers.add("content-type", "application/x-www-form-urlencoded");
  auto body = echo_json(Dialect::kPython, request, "", "a=1&b=x+y", false);
  EXPECT_EQ(body["form"]["b"].as_string(), "x y");
  EXPECT_EQ(body["data"].as_string(), "");

  request.headers.set("content-type", "multipart/form-data; boundary=XX");
  body = echo_json(Dialect::kPython, request, "",
                   "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"
                   "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\ntwo\r\n--XX--\r\n",
                   false);
  EXPECT_EQ(body["form"]["a"].as_string(), "one");
  EXPECT_EQ(body["files"]["f"].as_string(), "two");
}

TEST(HttpbinEcho, ReadsJson) {
  auto request = get("/post");
  request.method = "POST";
  request.headers.add("content-type", "application/json");
  EXPECT_EQ(echo_json(Dialect::kGo, request, "", R"({"a":[1]})", false).at("json.a.0").as_int(), 1);
  EXPECT_TRUE(echo_json(Dialect::kGo, request, "", "{oops", false).at("json").is_null());
}

TEST(HttpbinStatus, PicksByWeight) {
  EXPECT_EQ(pick_status("418", 0.5), 418);
  EXPECT_EQ(pick_status("200:3,503:1", 0.74), 200);
  EXPECT_EQ(pick_status("200:3,503:1", 0.76), 503);
  EXPECT_EQ(pick_status("200,500", 0.6), 500);
  EXPECT_FALSE(pick_status("abc", 0));
  EXPECT_FALSE(pick_status("99", 0));
  EXPECT_FALSE(pick_status("200:-1", 0));
}

TEST(HttpbinRange, FollowsRfc9110) {
  using Pair = std::pair<size_t, size_t>;
  EXPECT_EQ(byte_range("bytes=0-9", 100), Pair(0, 9));
  EXPECT_EQ(byte_range("bytes=90-", 100), Pair(90, 99));
  EXPECT_EQ(byte_range("bytes=-5", 100), Pair(95, 99));
  EXPECT_EQ(byte_range("bytes=50-500", 100), Pair(50, 99));
  EXPECT_FALSE(byte_range("bytes=100-", 100));
  EXPECT_FALSE(byte_range("lines=1-2", 100));
}

TEST(HttpbinDelay, HasALimit) {
  EXPECT_EQ(delay_of("0.5"), std::chrono::milliseconds(500));
  EXPECT_EQ(delay_of("100ms"), std::chrono::milliseconds(100));
  EXPECT_EQ(delay_of("3600"), std::chrono::seconds(10));
  EXPECT_FALSE(delay_of("-1"));
  EXPECT_FALSE(delay_of("soon"));
}

TEST(HttpbinGzip, BeginsWithItsMagic) {
  EXPECT_EQ(compress("hello", true).substr(0, 2), "\x1f\x8b");
  EXPECT_EQ(compress("hello", false)[0], '\x78');
}

TEST(Header, IsCapitalizedAtDashes) { EXPECT_EQ(canonical_header("x-b3-traceid"), "X-B3-Traceid"); }

}  // namespace
}  // namespace fairlead::sample
