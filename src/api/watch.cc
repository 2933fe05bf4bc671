#include "api/watch.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/selection.h"
#include "api/table.h"
#include "base/log.h"
#include "base/strings.h"
#include "io/tls.h"

namespace fairlead::api {

using base::Value;
using store::Event;
using store::EventType;

namespace {

// What may wait for a slow client before it is cut off; it then lists and watches again.
constexpr size_t kMaxPendingBytes = 4u << 20;
constexpr auto kBookmarkInterval = std::chrono::seconds(60);

class Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(io::Loop& loop, store::Store& store, RequestPtr request, Selection selection)
      : store_(store), request_(std::move(request)), selection_(std::move(selection)), format_(request_->format()),
        bookmark_timer_(loop, [this] { on_bookmark_timer(); }), end_timer_(loop, [this] { end(); }) {
    bookmarks_ = request_->flag("allowWatchBookmarks");
  }

  void begin() {
    const Target& target = request_->target;
    http::Headers headers;
    headers.add("content-type", "application/json");
    headers.add("cache-control", "no-cache, private");
    request_->exchange().start(200, std::move(headers));
    request_->exchange().on_close([self = shared_from_this()](bool) { self->stop(); });

    // "" and "0": everything there is as ADDED, then what follows. Any other revision: exactly what came after it.
    const std::string from_text = request_->query("resourceVersion");
    const bool initial = request_->flag("sendInitialEvents");
    uint64_t from = 0;
    if (!initial && !from_text.empty() && from_text != "0") from = static_cast<uint64_t>(base::to_int(from_text).value_or(0));
    auto subscribed = store_.watch(request_->kind->resource(), target.ns, from, [this](const Event& e) { on_event(e); });
    if (!subscribed) {
      send("ERROR", failure(410, "Expired", subscribed.error().message).status.dump());
      request_->exchange().finish();
      return;
    }
    subscription_ = std::move(*subscribed);
    if (from == 0) {
      revision_ = store_.revision();
      for (const auto& object : store_.list(request_->kind->resource(), target.ns))
        if (selection_.matches(*object)) send_object("ADDED", *object);
      if (initial) bookmark(true);
    } else {
      revision_ = from;
    }
    auto timeout = std::chrono::seconds(base::to_int(request_->query("timeoutSeconds")).value_or(0));
    if (timeout.count() <= 0) {
      // Spread, so that clients that began together do not all come back together.
      const std::string seed = io::random_bytes(1);
      timeout = std::chrono::minutes(30) + std::chrono::seconds(7 * static_cast<unsigned char>(seed[0]));
    }
    end_timer_.arm(timeout);
    if (bookmarks_) bookmark_timer_.arm(kBookmarkInterval);
  }

 private:
  void on_event(const Event& event) {
    revision_ = event.revision;
    const bool before = event.previous && selection_.matches(*event.previous);
    const bool now = event.type != EventType::kDeleted && selection_.matches(*event.object);
    if (event.type == EventType::kDeleted) {
      if (before || selection_.matches(*event.object)) send_object("DELETED", *event.object);
    } else if (now) {
      send_object(before ? "MODIFIED" : "ADDED", *event.object);
    } else if (before) {
      // It left the selection: for this client it is gone. The state is the one it last knew, at the new revision.
      Value last = *event.previous;
      last["metadata"].set("resourceVersion", std::to_string(event.revision));
      send_object("DELETED", last);
    }
  }

  void send_object(std::string_view type, const Value& object) {
    const Target& target = request_->target;
    switch (format_.shape) {
      case Format::Shape::kTable: {
        TableOptions options;
        options.version = format_.table_version;
        options.include = request_->query("includeObject");
        options.columns = !columns_sent_;
        columns_sent_ = true;
        std::string text = table_text(*request_->kind, target.version, {&object, 1}, object["metadata"]["resourceVersion"].as_string(), options);
        text.pop_back();
        send(type, text);
        break;
      }
      case Format::Shape::kMetadata: send(type, partial_metadata(object).dump()); break;
      case Format::Shape::kObject: send(type, dump_as(*request_->kind, target.version, object)); break;
    }
  }

  void bookmark(bool initial_end) {
    Value metadata = Value::object({{"resourceVersion", std::to_string(revision_)}, {"creationTimestamp", nullptr}});
    if (initial_end) metadata.set("annotations", Value::object({{"k8s.io/initial-events-end", "true"}}));
    Value object = Value::object({{"kind", request_->kind->kind}, {"apiVersion", request_->kind->api_version(request_->target.version)}, {"metadata", metadata}});
    if (format_.shape == Format::Shape::kMetadata) {
      object.set("kind", "PartialObjectMetadata");
      object.set("apiVersion", "meta.k8s.io/v1");
    } else if (format_.shape == Format::Shape::kTable) {
      Value row = Value::object({{"cells", Value::array()}, {"object", Value::object({{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", metadata}})}});
      object = Value::object({{"kind", "Table"}, {"apiVersion", "meta.k8s.io/" + format_.table_version},
                              {"metadata", Value::object({{"resourceVersion", std::to_string(revision_)}})},
                              {"columnDefinitions", nullptr}, {"rows", Value::array({std::move(row)})}});
    }
    send("BOOKMARK", object.dump());
  }

  void send(std::string_view type, std::string_view object) {
    auto& exchange = request_->exchange();
    if (exchange.closed()) return;
    if (exchange.pending_bytes() > kMaxPendingBytes) {
      FL_LOG_WARN("api", "watch of {} by {} does not keep up and is cut off", request_->kind->resource(), request_->caller().user);
      subscription_.reset();
      exchange.abort();
      return;
    }
    std::string line;
    line.reserve(object.size() + 40);
    line.append(R"({"type":")").append(type).append(R"(","object":)").append(object).append("}\n");
    exchange.write(line);
  }

  void on_bookmark_timer() {
    if (!subscription_) return;
    revision_ = std::max(revision_, subscription_->position());
    bookmark(false);
    bookmark_timer_.arm(kBookmarkInterval);
  }
  void end() {
    subscription_.reset();
    request_->exchange().finish();
  }
  void stop() {
    subscription_.reset();
    bookmark_timer_.cancel();
    end_timer_.cancel();
  }

  store::Store& store_;
  RequestPtr request_;
  const Selection selection_;
  const Format format_;
  bool bookmarks_ = false;
  bool columns_sent_ = false;
  uint64_t revision_ = 0;
  std::unique_ptr<store::Subscription> subscription_;
  io::Timer bookmark_timer_, end_timer_;
};

}  // namespace

void serve_watch(io::Loop& loop, store::Store& store, RequestPtr request) {
  auto selection = parse_selection(*request);
  if (!selection) return request->answer(selection.error());
  if (!request->target.name.empty()) {
    // The old way to watch one object: GET .../NAME?watch=true.
    auto one = mesh::FieldSelector::parse("metadata.name=" + request->target.name);
    if (one) selection->fields = std::move(*one);
  }
  std::make_shared<Watch>(loop, store, std::move(request), std::move(*selection))->begin();
}

}  // namespace fairlead::api
