// A connection that carries one request's body as it is: what a CONNECT ends in (Envoy: RouteAction.UpgradeConfig.connect_config).
#include "proxy/output.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"

namespace fairlead::proxy {
namespace {

class TcpUpstream final : public UpstreamConnection, UpstreamStream, io::TransportSink, Flushable {
 public:
  explicit TcpUpstream(HostPool& pool) : UpstreamConnection(pool) {}
  ~TcpUpstream() override { worker().unmark(*this); }

  // ---- UpstreamConnection
  UpstreamStream* open(UpstreamSink& sink) override {
    if (used_ || gone_) return nullptr;
    used_ = true;
    sink_ = &sink;
    disarm_idle();
    pool_.stream_opened();
    return this;
  }
  bool has_room() const override { return !used_; }
  size_t streams() const override { return sink_ ? 1 : 0; }

 private:
  Worker& worker() { return pool_.cluster().worker(); }
  ClusterStats& stats() { return pool_.cluster().stats; }

  void on_transport() override { transport_->set_sink(this); }

  void on_broken(ResetReason reason, std::string_view detail) override {
    if (gone_) return;
    UpstreamSink* sink = std::exchange(sink_, nullptr);
    broken_off(sink != nullptr);
    if (sink) sink->on_reset(reason, detail, false);
  }

  // ---- UpstreamStream
  // The connection is the answer. It is given with the next flush: nobody expects one inside the call.
  void send_head(const RequestHeaders&, bool end) override {
    answer_due_ = true;
    if (end) send_end(nullptr);
    worker().mark(*this);
  }
  void send_data(std::string_view bytes) override {
    if (gone_ || bytes.empty()) return;
    sink_->upstream_bytes.wire_sent += bytes.size();
    uint64_t before = out_.written();
    (void)out_.write(*transport_, bytes);  // a broken connection is seen by reading
    stats().upstream_cx_tx_bytes_total += out_.written() - before;
  }
  void send_end(const HeaderMap*) override {
    if (gone_ || std::exchange(ended_, true)) return;
    half_close_ = true;
    worker().mark(*this);
  }
  void cancel() override {
    if (!sink_) return;
    sink_ = nullptr;
    abandon();
  }
  void pause() override { paused_ = true; }
  void resume() override {
    if (!std::exchange(paused_, false)) return;
    read_again_ = true;
    worker().mark(*this);
  }
  size_t pending() const override { return out_.size(); }
  bool reused() const override { return false; }
  const UpstreamFacts& facts() const override { return facts_; }
  std::shared_ptr<const io::TlsInfo> tls() const override { return transport_ ? transport_->tls_info() : nullptr; }

  // ---- io
  void on_ready(bool readable, bool writable) override {
    if (writable) write();
    if (readable && !gone_) read();
  }

  void flush() override {
    if (gone_) return;
    if (std::exchange(answer_due_, false) && sink_) {
      ResponseHeaders head;
      head.status = 200;
      answered_ = true;
      sink_->on_response(head, false);
      if (!gone_) read();
    }
    if (!gone_) write();
    if (!gone_ && std::exchange(read_again_, false)) read();
  }

  void write() {
    size_t low = pool_.cluster().low_watermark();
    bool was_high = out_.size() > low;
    uint64_t before = out_.written();
    bool ok = out_.flush(*transport_);
    stats().upstream_cx_tx_bytes_total += out_.written() - before;
    if (!ok) return;
    if (out_.empty() && std::exchange(half_close_, false)) transport_->shutdown_write();
    if (was_high && out_.size() <= low && sink_) sink_->on_upstream_drained();
  }

  void read() {
    // What the origin says first waits for the answer to the CONNECT.
    if (sink_ && !answered_) return;
    std::span<char> buffer = worker().scratch();
    for (int round = 0; !gone_ && !paused_; ++round) {
      if (round == 8) {  // others have their turn
        read_again_ = true;
        worker().mark(*this);
        return;
      }
      io::IoResult r = transport_->read(buffer);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status == io::IoStatus::kError) return on_broken(ResetReason::kTermination, {});
      if (!sink_) return close();  // nobody asked yet, or nobody listens any more
      if (r.status == io::IoStatus::kEof) return finish();
      stats().upstream_cx_rx_bytes_total += r.bytes;
      sink_->upstream_bytes.wire_received += r.bytes;
      sink_->on_response_data(std::string_view(buffer.data(), r.bytes));
    }
  }

  void finish() {
    UpstreamSink* sink = std::exchange(sink_, nullptr);
    pool_.streams_closed(1);
    close();
    sink->on_response_end(nullptr);
  }

  Output out_;
  UpstreamSink* sink_ = nullptr;
  bool used_ = false, answer_due_ = false, answered_ = false, ended_ = false, half_close_ = false, paused_ = false, read_again_ = false;
};

}  // namespace

std::unique_ptr<UpstreamConnection> make_tcp_upstream(HostPool& pool) { return std::make_unique<TcpUpstream>(pool); }

}  // namespace fairlead::proxy
