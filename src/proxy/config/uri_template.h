// URI templates: routes by the shape of their path, and new paths made of its parts (Envoy's extensions
// envoy.path.match.uri_template.uri_template_matcher and envoy.path.rewrite.uri_template.uri_template_rewriter).
//
//   /books/{isbn}/{rest=**}   matches  /books/978-0/page/4
//   /{rest}/of/{isbn}         makes    /page/4/of/978-0
//
// `*` is one segment, `**` any number of them (the last wildcard); `{name}` keeps what one segment has, `{name=a/*}` what a piece of
// the pattern has. A template becomes a regular expression of the whole path. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proxy/config/matchers.h"

namespace fairlead::proxy {

// The expression, with a named group for each variable. The error says what of the template cannot be.
base::Result<std::shared_ptr<const Regex>> compile_uri_template(std::string_view text);

class UriRewrite {
 public:
  // `match` is the route's own template, whose variables `text` may name.
  static base::Result<UriRewrite> make(std::string_view text, std::shared_ptr<const Regex> match);
  // Empty when `path` (without the query) does not match.
  std::string operator()(std::string_view path) const;

 private:
  struct Piece {
    std::string text;
    int group = 0;                       // of the expression; 0: `text`
  };
  std::shared_ptr<const Regex> match_;
  std::vector<Piece> pieces_;
};

}  // namespace fairlead::proxy
