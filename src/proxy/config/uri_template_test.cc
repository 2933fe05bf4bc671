#include "proxy/config/uri_template.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

bool matches(std::string_view text, std::string_view path) {
  auto made = compile_uri_template(text);
  EXPECT_TRUE(made) << text << ": " << made.error().message;
  return made && (*made)->full_match(path);
}

std::string rewritten(std::string_view match, std::string_view text, std::string_view path) {
  auto made = UriRewrite::make(text, *compile_uri_template(match));
  return made ? (*made)(path) : "refused: " + made.error().message;
}

TEST(UriTemplate, WildcardsAndVariablesStandForSegments) {
  EXPECT_TRUE(matches("/", "/"));
  EXPECT_TRUE(matches("/a/*", "/a/b"));
  EXPECT_FALSE(matches("/a/*", "/a/"));
  EXPECT_FALSE(matches("/a/*", "/a/b/c"));
  EXPECT_TRUE(matches("/a/**", "/a/"));
  EXPECT_TRUE(matches("/a/**", "/a/b/c/"));
  EXPECT_TRUE(matches("/{a}/x/{b}", "/1/x/2"));
  EXPECT_TRUE(matches("/{a=b/*/c}/{d=**}", "/b/anything/c/and/more"));
  EXPECT_FALSE(matches("/{a=b/*/c}/{d=**}", "/b/c/and/more"));
  EXPECT_TRUE(matches("/**.html", "/a/b.html"));
  EXPECT_TRUE(matches("/v{version}.json/x", "/v1.2.json/x"));
  EXPECT_FALSE(matches("/v{version}.json/x", "/v1.2xjson/x")) << "a literal is no expression";
  EXPECT_TRUE(matches("/ab*", "/abb")) << "as in Envoy";
  EXPECT_FALSE(matches("/*", "/a[b"));
  EXPECT_FALSE(matches("/*", "/a\xc3\xa9"));
}

TEST(UriTemplate, WhatCanNotBeIsRefused) {
  for (std::string_view text : {"", "a", "/a//b", "/{}", "/{a}{b}", "/**/*", "/{a=**}/{b}", "/**/**", "/{abcdefghijklmnopq}", "/{a}/{a}", "/{a}/{b}/{c}/{d}/{e}/{f}", "/a b", "/a?b",
                                "/a[b", "/{a=}", "/{a=b/}", "/{a=/b}", "/{1a}", "/**.x/y", "/{a", "/{a/b", "/a\xc3\xa9", "/{a=*b}", "/***"})
    EXPECT_FALSE(compile_uri_template(text)) << text;
  for (std::string_view text : {"/{abcdefghijklmnop}", "/{a}/{b}/{c}/{d}/{e}", "/a=b", "/*/", "/a{b}c", "/{a=**}/b"}) EXPECT_TRUE(compile_uri_template(text)) << text;
}

TEST(UriTemplate, PathsAreMadeOfVariables) {
  EXPECT_EQ(rewritten("/a/{b}/{c=**}", "/{c}/x-{b}", "/a/1/2/3"), "/2/3/x-1");
  EXPECT_EQ(rewritten("/a/{b}/{c=**}", "/{b}{b}", "/a/1/"), "/11");
  EXPECT_EQ(rewritten("/a/{b}", "/x", "/b/1"), "") << "another path";
  for (std::string_view text : {"", "x", "/x//y", "/{d}", "/{b", "/x?{b}", "/{b=*}", "/{}"}) EXPECT_TRUE(rewritten("/a/{b}", text, "/a/1").starts_with("refused")) << text;
}

}  // namespace
}  // namespace fairlead::proxy
