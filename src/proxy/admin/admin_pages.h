// The smaller admin pages: help, the HTML pages, what is refused because it is not built in, /init_dump, and the field
// masks of /config_dump. Main thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/value.h"
#include "http/server.h"

namespace fairlead::proxy {

class Server;

std::string_view admin_help();
std::string admin_home();                                    // "/": a table of the pages
std::string stats_html(std::string_view query, std::string_view text);  // /stats?format=html: a form, and the statistics

// Pages that change something, or only say why they do nothing. False: `path` is none of them.
bool serve_small_page(Server& server, const std::shared_ptr<http::Exchange>& e, std::string_view path, std::string_view query);

// What keeps the server from being LIVE: listeners and clusters that wait (envoy.admin.v3.UnreadyTargetsDumps). mask:
// "listener" tells of listeners alone.
base::Value init_dump(Server& server, std::string_view mask);

// Keeps the fields that `mask` names ("a.b,c") and "@type". False: none of them was there.
bool apply_mask(base::Value& message, std::string_view mask);

// Counts what the admin answers, as http.admin.downstream_rq_*. Wraps an exchange.
struct HttpStats;
std::shared_ptr<http::Exchange> counted(std::shared_ptr<http::Exchange> exchange, HttpStats& stats);

}  // namespace fairlead::proxy
