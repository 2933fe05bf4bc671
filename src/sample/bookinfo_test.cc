#include <gtest/gtest.h>

#include "sample/bookinfo.h"
#include "sample/service.h"

namespace fairlead::sample {
namespace {

const base::Value reviews(const ReviewsLook& look, int stars1, int stars2, const std::string& cluster = "null") {
  return base::parse_json(reviews_json(0, "reviews-v3-abc", cluster, look, stars1, stars2)).value();
}

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(Reviews, ShowNoRatingInV1) {
  auto body = reviews({}, -1, -1);
  EXPECT_EQ(body["podname"].as_string(), "reviews-v3-abc");
  EXPECT_EQ(body["id"].as_string(), "0");
  EXPECT_FALSE(body.at("reviews.0").contains("rating"));
}

TEST(Reviews, CarryStarsAndColor) {
  auto body = reviews({true, "red"}, 5, 4);
  EXPECT_EQ(body.at("reviews.1.rating.stars").as_int(), 4);
  EXPECT_EQ(body.at("reviews.1.rating.color").as_string(), "red");
}

TEST(Reviews, SayWhenRatingsAreAway) {
  EXPECT_EQ(reviews({true, "black"}, -1, -1).at("reviews.0.rating.error").as_string(), "Ratings service is currently unavailable");
}

TEST(ProductPage, DrawsStarsInTheColorOfTheVersion) {
  std::string page = productpage_html("", 200, base::Value::object(), 200, reviews({true, "red"}, 5, 4));
  EXPECT_NE(page.find("<title>Simple Bookstore App</title>"), std::string::npos);
  EXPECT_EQ(count(page, "data-color=\"red\""), 2u);
  EXPECT_EQ(count(page, "class=\"star full"), 9u);
  EXPECT_EQ(count(page, "class=\"star empty"), 1u);
  EXPECT_EQ(count(productpage_html("", 200, base::Value::object(), 200, reviews({}, -1, -1)), "class=\"star "), 0u);
}

TEST(ProductPage, SaysWhatCouldNotBeFetched) {
  auto sorry = base::Value::object({{"error", "Sorry, product reviews are currently unavailable for this book."}});
  std::string page = productpage_html("", 500, base::Value::object({{"error", "no details"}}), 500, sorry);
  EXPECT_NE(page.find("Error fetching product reviews!"), std::string::npos);
  EXPECT_NE(page.find("Sorry, product reviews are currently unavailable for this book."), std::string::npos);
  EXPECT_NE(page.find("Error fetching product details!"), std::string::npos);
}

TEST(ProductPage, EscapesWhatOthersSent) {
  std::string page = productpage_html("<script>", 200, base::Value::object({{"type", "<b>"}}), 200, reviews({}, -1, -1, "<i>"));
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_EQ(page.find("<td><b>"), std::string::npos);
  EXPECT_EQ(page.find("<i>"), std::string::npos);
}

TEST(Session, SurvivesTheCookie) {
  EXPECT_EQ(session_user("a=b; session=" + session_cookie("jason") + "; c=d"), "jason");
  EXPECT_EQ(session_user("session=!!!"), "");
  EXPECT_EQ(session_user(""), "");
  EXPECT_EQ(session_user("session=" + session_cookie("a\r\nx: y")), "");
}

TEST(Forwarded, TakesTraceAndUserFields) {
  http::RequestHead request;
  for (auto name : {"x-request-id", "x-b3-traceid", "end-user", "accept", "cookie"}) request.headers.add(name, "1");
  auto out = forwarded(request);
  EXPECT_TRUE(out.has("x-request-id") && out.has("x-b3-traceid") && out.has("end-user") && out.has("cookie"));
  EXPECT_FALSE(out.has("accept"));
  EXPECT_FALSE(forwarded(request, false).has("end-user"));
}

}  // namespace
}  // namespace fairlead::sample
