// The look of the product page: one self-contained document, no script from elsewhere, no font to fetch.
#include <algorithm>

#include "base/strings.h"
#include "sample/bookinfo.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

constexpr std::string_view kStyle = R"css(
:root{--ink:#22282f;--soft:#667280;--line:#e4e0d8;--paper:#fbf9f4;--card:#fff;--accent:#1d5c63;--bad:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 Georgia,'Times New Roman',serif}
nav,label,input,button,.tag,table,.served{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
nav{background:var(--accent);color:#fff;padding:.8rem 1.2rem;display:flex;align-items:center;justify-content:space-between;gap:1rem}
nav a{color:#fff}
nav .brand{font-weight:600;text-decoration:none;font-size:1.1rem}
nav form{display:flex;gap:.4rem;margin:0}
nav input{border:0;border-radius:6px;padding:.4rem .6rem;width:8.5rem}
button{border:0;border-radius:6px;padding:.4rem .9rem;background:#f2b84b;color:#3a2a05;font-weight:600;cursor:pointer}
main{max-width:58rem;margin:0 auto;padding:2.5rem 1.2rem 4rem}
h1{font-size:2.6rem;line-height:1.15;margin:.2rem 0 1rem}
h2{font-size:1.35rem;margin:0 0 1rem}
.lead{font-size:1.15rem;color:#414b55;max-width:44rem}
.panes{display:grid;grid-template-columns:minmax(15rem,1fr) 2fr;gap:1.4rem;margin-top:2.2rem;align-items:start}
@media(max-width:44rem){.panes{grid-template-columns:1fr}}
.pane{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.4rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{text-align:left;font-weight:500;color:var(--soft);padding:.35rem .8rem .35rem 0;white-space:nowrap;vertical-align:top}
td{padding:.35rem 0}
.review{border-top:1px solid var(--line);padding:1.1rem 0}
.review:first-of-type{border-top:0;padding-top:0}
blockquote{margin:.3rem 0 .4rem;font-size:1.08rem}
.who{color:var(--soft);font-style:italic}
.stars{display:flex;gap:.2rem}
.star{width:1.25rem;height:1.25rem;fill:currentColor}
.stars-black .star.full{color:#1b1b1b}
.stars-red .star.full{color:#d61f26}
.star.empty{fill:none;stroke:#c9c3b7;stroke-width:1.5}
.error{color:var(--bad)}
h2.error{margin-bottom:.4rem}
.served{font-size:.82rem;color:var(--soft);border-top:1px dashed var(--line);padding-top:.8rem;margin-top:.4rem}
.served code{color:var(--ink)}
)css";

constexpr std::string_view kStar = "12.0,1.6 14.7,8.9 22.5,9.2 16.4,14.0 18.5,21.5 12.0,17.2 5.5,21.5 7.6,14.0 1.5,9.2 9.3,8.9";

std::string head(std::string_view title) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n</head>\n",
      title, kStyle);
}

// A number or a text as the page shows it.
std::string shown(const base::Value& value) {
  return value.is_string() ? html_escape(value.as_string()) : value.is_null() ? "" : html_escape(value.dump());
}

std::string nav(std::string_view user) {
  std::string out = "<nav>\n<a class=\"brand\" href=\"productpage\">BookInfo Sample</a>\n";
  if (user.empty())
    out +=
        "<form method=\"post\" action=\"login\" name=\"login_form\">\n"
        "<input id=\"username\" name=\"username\" placeholder=\"Username\" aria-label=\"Username\" required>\n"
        "<input id=\"password\" name=\"passwd\" type=\"password\" placeholder=\"Password (any)\" aria-label=\"Password\">\n"
        "<button type=\"submit\" id=\"sign-in-button\">Sign in</button>\n</form>\n";
  else
    out += fmt::format("<span id=\"user\">{} &middot; <a href=\"logout\">Sign out</a></span>\n", html_escape(user));
  return out + "</nav>\n";
}

std::string details_pane(int status, const base::Value& details) {
  std::string out = "<section class=\"pane\" id=\"details\">\n";
  if (status != 200)
    return out + fmt::format("<h2 class=\"error\">Error fetching product details!</h2>\n<p>{}</p>\n</section>\n", shown(details["error"]));
  out += "<h2>Book Details</h2>\n<table>\n";
  constexpr std::pair<std::string_view, std::string_view> kRows[] = {
      {"Type", "type"},           {"Pages", "pages"},     {"Publisher", "publisher"},
      {"Language", "language"},   {"ISBN-10", "ISBN-10"}, {"ISBN-13", "ISBN-13"}};
  for (auto [label, key] : kRows) out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", label, shown(details[key]));
  return out + "</table>\n</section>\n";
}

std::string stars_line(const base::Value& rating) {
  int stars = static_cast<int>(std::clamp<int64_t>(rating["stars"].as_int(), 0, 5));
  std::string color = html_escape(rating["color"].as_string());
  std::string out = fmt::format("<div class=\"stars stars-{0} text-{0}-500\" data-stars=\"{1}\" data-color=\"{0}\" title=\"{1} of 5\">", color, stars);
  // Drawn, not typed: a machine may have no font with stars.
  for (int i = 0; i < 5; ++i)
    out += fmt::format("<svg class=\"star {}\" viewBox=\"0 0 24 24\"><polygon points=\"{}\"/></svg>",
                       i < stars ? "full glyphicon glyphicon-star" : "empty glyphicon glyphicon-star-empty", kStar);
  return out + "</div>\n";
}

std::string reviews_pane(int status, const base::Value& reviews) {
  std::string out = "<section class=\"pane\" id=\"reviews\">\n";
  if (status != 200)
    return out + fmt::format("<h2 class=\"error\">Error fetching product reviews!</h2>\n<p>{}</p>\n</section>\n", shown(reviews["error"]));
  out += "<h2>Book Reviews</h2>\n";
  for (const auto& review : reviews["reviews"].items()) {
    const auto& rating = review["rating"];
    out += "<div class=\"review\">\n";
    if (rating["stars"].as_int() > 0) out += stars_line(rating);
    else if (rating.contains("error")) out += fmt::format("<p class=\"error\">{}</p>\n", shown(rating["error"]));
    out += fmt::format("<blockquote>{}</blockquote>\n<div class=\"who\">{}</div>\n</div>\n", shown(review["text"]), shown(review["reviewer"]));
  }
  out += fmt::format("<p class=\"served\">Reviews served by: <code>{}</code>", shown(reviews["podname"]));
  if (const auto& cluster = reviews["clustername"].as_string(); !cluster.empty() && cluster != "null")
    out += fmt::format(" on cluster <code>{}</code>", html_escape(cluster));
  return out + "</p>\n</section>\n";
}

}  // namespace

std::string productpage_html(std::string_view user, int details_status, const base::Value& details, int reviews_status,
                             const base::Value& reviews) {
  return head("Simple Bookstore App") + "<body>\n" + nav(user) +
         "<main>\n<h1>The Comedy of Errors</h1>\n"
         "<p class=\"lead\">Two pairs of twins, parted by a shipwreck, and a whole town that takes each for the other: one of "
         "<b>William Shakespeare&#39;s</b> first plays, his shortest, and the nearest he came to pure farce. "
         "<a href=\"https://en.wikipedia.org/wiki/The_Comedy_of_Errors\">Wikipedia Summary</a></p>\n<div class=\"panes\">\n" +
         details_pane(details_status, details) + reviews_pane(reviews_status, reviews) + "</div>\n</main>\n</body>\n</html>\n";
}

std::string productpage_index_html() {
  return head("Simple Bookstore App") + "<body>\n" + nav("") +
         "<main>\n<h1>Hello! This is a simple bookstore application</h1>\n"
         "<p class=\"lead\">It has four services: productpage asks details and reviews, and reviews asks ratings.</p>\n"
         "<ul>\n<li><a href=\"productpage?u=normal\">Normal user</a></li>\n<li><a href=\"productpage?u=test\">Test user</a></li>\n</ul>\n"
         "</main>\n</body>\n</html>\n";
}

}  // namespace fairlead::sample
