#include "node/interception/istio_iptables.h"

#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <map>

#include "base/strings.h"
#include "io/address.h"
#include "node/network/command.h"
#include "node/sandbox/privileges.h"

namespace fairlead::node {
namespace {

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> out;
  for (auto part : base::split(text, ','))
    if (auto item = base::trim(part); !item.empty()) out.emplace_back(item);
  return out;
}

base::Status check_port(const std::string& text, std::string_view flag) {
  auto n = base::to_int(text);
  if (!n || *n < 0 || *n > 65535) return base::fail(base::Code::kInvalidArgument, "{}: \"{}\" is no port", flag, text);
  return {};
}

base::Status check_cidr(const std::string& text, std::string_view flag) {
  size_t slash = text.find('/');
  auto prefix = slash == std::string::npos ? std::optional<long long>(32) : base::to_int(std::string_view(text).substr(slash + 1));
  auto ip = io::Address::parse_ip(std::string_view(text).substr(0, slash), 0);
  if (!ip || !prefix || *prefix < 0 || *prefix > (ip->family() == AF_INET ? 32 : 128))
    return base::fail(base::Code::kInvalidArgument, "{}: \"{}\" is no network such as 10.0.0.0/8", flag, text);
  return {};
}

struct Flag {
  std::string_view shorter, longer;
  enum class Kind { kText, kPort, kSwitch, kIgnoredText, kIgnoredSwitch } kind;
  std::function<void(InterceptionOptions&, const std::string&)> set;
};

const std::vector<Flag>& flags() {
  using O = InterceptionOptions;
  using K = Flag::Kind;
  auto port = [](uint16_t O::*field) { return [field](O& o, const std::string& v) { o.*field = static_cast<uint16_t>(*base::to_int(v)); }; };
  auto text = [](std::string O::*field) { return [field](O& o, const std::string& v) { o.*field = v; }; };
  auto on = [](bool O::*field) { return [field](O& o, const std::string& v) { o.*field = v != "false"; }; };
  static const std::vector<Flag> table = {
      {"-p", "--envoy-port", K::kPort, port(&O::outbound_port)},
      {"-z", "--inbound-capture-port", K::kPort, port(&O::inbound_port)},
      {"-e", "--inbound-tunnel-port", K::kPort, port(&O::tunnel_port)},
      {"-u", "--proxy-uid", K::kText, [](O& o, const std::string& v) { o.proxy_uids = list_of(v); }},
      {"-g", "--proxy-gid", K::kText, [](O& o, const std::string& v) { o.proxy_gids = list_of(v); }},
      {"-i", "--istio-service-cidr", K::kText, text(&O::outbound_cidrs)},
      {"-x", "--istio-service-exclude-cidr", K::kText, text(&O::excluded_cidrs)},
      {"-b", "--istio-inbound-ports", K::kText, text(&O::inbound_ports)},
      {"-d", "--istio-local-exclude-ports", K::kText, text(&O::excluded_inbound_ports)},
      {"-q", "--istio-outbound-ports", K::kText, text(&O::outbound_ports)},
      {"-o", "--istio-local-outbound-ports-exclude", K::kText, text(&O::excluded_outbound_ports)},
      {"-c", "--istio-exclude-interfaces", K::kText, text(&O::excluded_interfaces)},
      {"-n", "--dry-run", K::kSwitch, on(&O::dry_run)},
      {"", "--cleanup-only", K::kSwitch, on(&O::cleanup_only)},
      {"", "--skip-rule-apply", K::kSwitch, on(&O::skip_apply)},
      // Accepted because manifests carry them; they change nothing for REDIRECT over IPv4.
      {"-k", "--kube-virt-interfaces", K::kIgnoredText, {}},
      {"-t", "--istio-inbound-tproxy-mark", K::kIgnoredText, {}},
      {"-r", "--istio-inbound-tproxy-route-table", K::kIgnoredText, {}},
      {"", "--log_output_level", K::kIgnoredText, {}},
      {"", "--log_as_json", K::kIgnoredSwitch, {}},
      {"", "--probe-timeout", K::kIgnoredText, {}},
      {"", "--iptables-probe-port", K::kIgnoredText, {}},
      {"", "--iptables-version", K::kIgnoredText, {}},
      {"", "--network-namespace", K::kIgnoredText, {}},
      {"", "--cni-mode", K::kIgnoredSwitch, {}},
      {"", "--drop-invalid", K::kIgnoredSwitch, {}},
      {"", "--dual-stack", K::kIgnoredSwitch, {}},
      {"", "--restore-format", K::kIgnoredSwitch, {}},
      {"-f", "--restore-format", K::kIgnoredSwitch, {}},
      {"", "--run-validation", K::kIgnoredSwitch, {}},
      {"", "--force-apply", K::kIgnoredSwitch, {}},
      {"", "--reconcile", K::kIgnoredSwitch, {}},
      {"", "--iptables-trace-logging", K::kIgnoredSwitch, {}},
  };
  return table;
}

}  // namespace

base::Result<InterceptionOptions> parse_interception(const std::vector<std::string>& args) {
  InterceptionOptions o;
  bool gids_given = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    size_t equals = arg.starts_with("--") ? arg.find('=') : std::string::npos;
    std::string name = arg.substr(0, equals);
    auto next = [&](std::string_view what) -> base::Result<std::string> {
      if (equals != std::string::npos) return arg.substr(equals + 1);
      if (i + 1 >= args.size()) return base::fail(base::Code::kInvalidArgument, "{} needs a value", what);
      return args[++i];
    };
    // Only REDIRECT: TPROXY would need the sidecar's listener to be transparent.
    if (name == "-m" || name == "--istio-inbound-interception-mode") {
      auto mode = next(name);
      if (!mode) return std::unexpected(mode.error());
      if (*mode != "REDIRECT" && !mode->empty())
        return base::fail(base::Code::kUnimplemented, "{}: interception mode {} is not supported; REDIRECT is", name, *mode);
      continue;
    }
    if (name == "--redirect-dns" || name == "--capture-all-dns") {
      if (equals == std::string::npos || arg.substr(equals + 1) != "false")
        return base::fail(base::Code::kUnimplemented, "{}: the sidecar does not proxy DNS", name);
      continue;
    }
    const Flag* flag = nullptr;
    for (auto& f : flags())
      if (name == f.longer || (!f.shorter.empty() && name == f.shorter)) flag = &f;
    if (!flag) return base::fail(base::Code::kInvalidArgument, "unknown flag {}", name);
    bool is_switch = flag->kind == Flag::Kind::kSwitch || flag->kind == Flag::Kind::kIgnoredSwitch;
    base::Result<std::string> value = is_switch ? base::Result<std::string>(equals == std::string::npos ? "true" : arg.substr(equals + 1)) : next(name);
    if (!value) return std::unexpected(value.error());
    if (flag->kind == Flag::Kind::kPort)
      if (auto ok = check_port(*value, name); !ok) return std::unexpected(ok.error());
    if (flag->longer == "--proxy-gid") gids_given = true;
    if (flag->set) flag->set(o, *value);
  }
  if (!gids_given) o.proxy_gids = o.proxy_uids;
  for (auto* ports : {&o.inbound_ports, &o.excluded_inbound_ports, &o.outbound_ports, &o.excluded_outbound_ports})
    for (auto& p : list_of(*ports))
      if (p != "*")
        if (auto ok = check_port(p, "ports"); !ok) return std::unexpected(ok.error());
  for (auto* cidrs : {&o.outbound_cidrs, &o.excluded_cidrs})
    for (auto& c : list_of(*cidrs))
      if (c != "*")
        if (auto ok = check_cidr(c, "networks"); !ok) return std::unexpected(ok.error());
  for (auto* ids : {&o.proxy_uids, &o.proxy_gids})
    for (auto& id : *ids)
      if (!base::to_int(id)) return base::fail(base::Code::kInvalidArgument, "\"{}\" is no user or group id", id);
  return o;
}

std::string interception_rules(const InterceptionOptions& o, bool owner_match) {
  std::string out = "*nat\n:ISTIO_INBOUND - [0:0]\n:ISTIO_REDIRECT - [0:0]\n:ISTIO_IN_REDIRECT - [0:0]\n:ISTIO_OUTPUT - [0:0]\n";
  auto add = [&](const std::string& rule) { out += "-A " + rule + "\n"; };
  for (auto& i : list_of(o.excluded_interfaces)) {
    add(fmt::format("PREROUTING -i {} -j RETURN", i));
    add(fmt::format("OUTPUT -o {} -j RETURN", i));
  }
  add(fmt::format("ISTIO_INBOUND -p tcp --dport {} -j RETURN", o.tunnel_port));
  add(fmt::format("ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {}", o.outbound_port));
  add(fmt::format("ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {}", o.inbound_port));
  if (!o.inbound_ports.empty()) {
    add("PREROUTING -p tcp -j ISTIO_INBOUND");
    if (o.inbound_ports == "*") {
      for (auto& p : list_of(o.excluded_inbound_ports)) add(fmt::format("ISTIO_INBOUND -p tcp --dport {} -j RETURN", p));
      add("ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT");
    } else {
      for (auto& p : list_of(o.inbound_ports)) add(fmt::format("ISTIO_INBOUND -p tcp --dport {} -j ISTIO_IN_REDIRECT", p));
    }
  }
  add("OUTPUT -p tcp -j ISTIO_OUTPUT");
  for (auto& p : list_of(o.excluded_outbound_ports)) add(fmt::format("ISTIO_OUTPUT -p tcp --dport {} -j RETURN", p));
  // 127.0.0.6 is where the sidecar calls the application from, so that it is not caught again.
  add("ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN");
  // Who is the sidecar: its mark, and its ids where there are several. From the sidecar to another of its pod's addresses
  // (a pod that calls itself through its Service): inbound again. To loopback from others: left alone. From the sidecar
  // outwards: done.
  auto sidecar = [&](const std::string& is, const std::string& is_not) {
    add(fmt::format("ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport {} -m {} -j ISTIO_IN_REDIRECT", o.tunnel_port, is));
    if (!is_not.empty()) add(fmt::format("ISTIO_OUTPUT -o lo -m {} -j RETURN", is_not));
    add(fmt::format("ISTIO_OUTPUT -m {} -j RETURN", is));
  };
  // With ids too, "not marked" does not mean "not the sidecar" (an Envoy in its place sets no marks).
  sidecar(fmt::format("mark --mark {}", kSidecarMark), owner_match ? "" : fmt::format("mark ! --mark {}", kSidecarMark));
  if (owner_match) {
    for (auto& uid : o.proxy_uids) sidecar("owner --uid-owner " + uid, "owner ! --uid-owner " + uid);
    for (auto& gid : o.proxy_gids) sidecar("owner --gid-owner " + gid, "owner ! --gid-owner " + gid);
  }
  add("ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN");
  for (auto& c : list_of(o.excluded_cidrs)) add(fmt::format("ISTIO_OUTPUT -d {} -j RETURN", c));
  for (auto& p : list_of(o.outbound_ports)) {
    if (p == "*") add("ISTIO_OUTPUT -p tcp -j ISTIO_REDIRECT");
    else add(fmt::format("ISTIO_OUTPUT -p tcp --dport {} -j ISTIO_REDIRECT", p));
  }
  if (o.outbound_cidrs == "*") {
    add("ISTIO_OUTPUT -j ISTIO_REDIRECT");
  } else if (!o.outbound_cidrs.empty()) {
    for (auto& c : list_of(o.outbound_cidrs)) add(fmt::format("ISTIO_OUTPUT -d {} -j ISTIO_REDIRECT", c));
    add("ISTIO_OUTPUT -j RETURN");
  }
  return out + "COMMIT\n";
}

std::string interception_removal(const InterceptionOptions& o) {
  std::string out = "*nat\n";
  for (auto& i : list_of(o.excluded_interfaces)) out += fmt::format("-D PREROUTING -i {} -j RETURN\n-D OUTPUT -o {} -j RETURN\n", i, i);
  if (!o.inbound_ports.empty()) out += "-D PREROUTING -p tcp -j ISTIO_INBOUND\n";
  out += "-D OUTPUT -p tcp -j ISTIO_OUTPUT\n";
  for (const char* verb : {"-F", "-X"})
    for (const char* chain : {"ISTIO_OUTPUT", "ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT"}) out += fmt::format("{} {}\n", verb, chain);
  return out + "COMMIT\n";
}

int run_istio_iptables(const std::vector<std::string>& args) {
  auto options = parse_interception(args);
  if (!options) {
    fmt::print(stderr, "istio-iptables: {}\n", options.error().text());
    return 2;
  }
  bool owner_match = true;
  for (auto& uid : options->proxy_uids) owner_match = owner_match && id_is_mapped("/proc/self/uid_map", *base::to_int(uid));
  for (auto& gid : options->proxy_gids) owner_match = owner_match && id_is_mapped("/proc/self/gid_map", *base::to_int(gid));
  std::string rules = interception_rules(*options, owner_match);
  if (options->dry_run) {
    fmt::print("{}", rules);
    return 0;
  }
  if (options->skip_apply) return 0;
  auto restore = [](const std::string& text) {
    CommandResult r = run_command_blocking({"iptables-restore", "--noflush"}, text);
    if (r.exit_code != 0) fmt::print(stderr, "istio-iptables: iptables-restore ended with code {}: {}\nIts input was:\n{}", r.exit_code, r.output, text);
    return r.exit_code;
  };
  bool there = run_command_blocking({"iptables-save", "-t", "nat"}, "").output.find("ISTIO_OUTPUT") != std::string::npos;
  if (there)
    if (int code = restore(interception_removal(*options)); code != 0) return code;
  if (options->cleanup_only) return 0;
  int code = restore(rules);
  if (code == 0) fmt::print(stderr, "istio-iptables: rules are set{}\n", owner_match ? "" : " (sidecar by socket mark: one user id here)");
  return code;
}

}  // namespace fairlead::node
