#include "node/dns/zone.h"

#include <algorithm>

#include <arpa/inet.h>

#include "base/strings.h"

namespace fairlead::node {
namespace {

bool raw_ipv4(const std::string& ip, std::string& raw) {
  in_addr address;
  if (::inet_pton(AF_INET, ip.c_str(), &address) != 1) return false;
  raw.assign(reinterpret_cast<const char*>(&address), 4);
  return true;
}

void add_address(std::vector<DnsRecord>& out, const std::string& name, const std::string& ip) {
  std::string raw;
  if (raw_ipv4(ip, raw)) out.push_back({name, DnsType::kA, 5, raw});
}

bool asks_for(const DnsQuestion& question, DnsType type) {
  return question.type == static_cast<uint16_t>(type) || question.type == static_cast<uint16_t>(DnsType::kAny);
}

// The endpoints a headless name stands for.
std::vector<const ServiceEndpoint*> visible(const ServiceEntry& service) {
  std::vector<const ServiceEndpoint*> out;
  for (const auto& e : service.addresses)
    if (e.ready || service.publish_not_ready) out.push_back(&e);
  return out;
}

std::string endpoint_label(const ServiceEndpoint& e) { return e.hostname.empty() ? dashed_ip(e.ip) : e.hostname; }

}  // namespace

std::string dashed_ip(std::string_view ip) {
  std::string out(ip);
  std::ranges::replace(out, '.', '-');
  return out;
}

DnsZone::DnsZone(std::shared_ptr<const ServiceTable> table, std::string domain, std::map<std::string, std::string> outside)
    : table_(std::move(table)), domain_(std::move(domain)), outside_(std::move(outside)) {
  for (const auto& service : table_->services) {
    services_[{service.ns, service.name}] = &service;
    std::string name = service.name + "." + service.ns + ".svc." + domain_;
    if (!service.cluster_ip.empty()) pointers_[service.cluster_ip].push_back(name);
    if (service.headless)
      for (const auto* e : visible(service)) pointers_[e->ip].push_back(endpoint_label(*e) + "." + name);
  }
}

DnsRecord DnsZone::soa() const { return {domain_, DnsType::kSoa, 5, {}}; }

DnsZone::Found DnsZone::look_up(const DnsQuestion& question) const {
  Found found;
  DnsReply& reply = found.reply;
  const std::string& name = question.name;

  if (auto it = outside_.find(name); it != outside_.end()) {
    found.ours = true;
    if (asks_for(question, DnsType::kA)) add_address(reply.answers, name, it->second);
    return found;
  }

  constexpr std::string_view kReverse = ".in-addr.arpa";
  if (name.ends_with(kReverse)) {
    auto octets = base::split(std::string_view(name).substr(0, name.size() - kReverse.size()), '.');
    std::ranges::reverse(octets);
    std::string ip;
    for (auto octet : octets) ip += (ip.empty() ? "" : ".") + std::string(octet);
    auto it = pointers_.find(ip);
    bool cluster_range = ip.starts_with("10.96.") || ip.starts_with("10.244.");
    if (it == pointers_.end() && !cluster_range) return found;
    found.ours = reply.authoritative = true;
    if (it == pointers_.end()) reply.code = DnsCode::kNxDomain;
    else if (asks_for(question, DnsType::kPtr))
      for (const auto& target : it->second) reply.answers.push_back({name, DnsType::kPtr, 5, target});
    return found;
  }

  if (name != domain_ && !name.ends_with("." + domain_)) return found;
  found.ours = reply.authoritative = true;
  reply.soa = soa();
  if (name == domain_) {
    if (asks_for(question, DnsType::kSoa)) {
      reply.answers.push_back(soa());
      reply.soa.reset();
    }
    return found;
  }
  auto views = base::split(std::string_view(name).substr(0, name.size() - domain_.size() - 1), '.');
  std::vector<std::string> labels(views.begin(), views.end());
  std::string kind = labels.back();
  labels.pop_back();
  auto not_found = [&] { reply.code = DnsCode::kNxDomain; };

  if (kind == "pod" && labels.size() == 2) {
    // a-b-c-d.NAMESPACE.pod: the address it spells
    std::string ip = labels[0], raw;
    std::ranges::replace(ip, '-', '.');
    if (!raw_ipv4(ip, raw)) not_found();
    else if (asks_for(question, DnsType::kA)) add_address(reply.answers, name, ip);
  } else if (kind == "svc" && labels.empty()) {
    // exists, has no records of its own
  } else if (kind == "svc" && labels.size() == 1) {
    bool exists = std::ranges::any_of(table_->services, [&](const ServiceEntry& s) { return s.ns == labels[0]; });
    if (!exists) not_found();
  } else if (kind == "svc") {
    std::string ns = labels.back();
    labels.pop_back();
    std::string service = labels.back();
    labels.pop_back();
    auto it = services_.find({ns, service});
    if (it == services_.end()) not_found();
    else answer_service(*it->second, question, labels, found);
  } else {
    not_found();
  }
  if (!reply.answers.empty()) reply.soa.reset();
  return found;
}

void DnsZone::answer_service(const ServiceEntry& service, const DnsQuestion& question, const std::vector<std::string>& front,
                             Found& found) const {
  DnsReply& reply = found.reply;
  std::string base_name = service.name + "." + service.ns + ".svc." + domain_;

  if (service.type == "ExternalName") {
    if (!front.empty()) {
      reply.code = DnsCode::kNxDomain;
      return;
    }
    reply.answers.push_back({question.name, DnsType::kCname, 5, service.external_name});
    DnsQuestion next{base::to_lower(service.external_name), question.type};
    if (next.name == question.name) return;
    if (outside_.contains(next.name) || (next.name.ends_with("." + domain_) && !next.name.ends_with(".svc." + domain_))) {
      for (auto& r : look_up(next).reply.answers) reply.answers.push_back(r);
    } else if (next.name.ends_with(".svc." + domain_)) {
      // One step only: an ExternalName that names another ExternalName could go in circles.
      auto labels = base::split(next.name, '.');
      auto it = labels.size() >= 2 ? services_.find({std::string(labels[1]), std::string(labels[0])}) : services_.end();
      if (it != services_.end() && it->second->type != "ExternalName")
        for (auto& r : look_up(next).reply.answers) reply.answers.push_back(r);
    } else {
      found.chase = next.name;
    }
    return;
  }

  auto endpoints = service.headless ? visible(service) : std::vector<const ServiceEndpoint*>();

  if (front.empty()) {
    if (!service.headless) {
      if (asks_for(question, DnsType::kA)) add_address(reply.answers, question.name, service.cluster_ip);
    } else if (endpoints.empty()) {
      reply.code = DnsCode::kNxDomain;
    } else if (asks_for(question, DnsType::kA)) {
      for (const auto* e : endpoints) add_address(reply.answers, question.name, e->ip);
    }
    if (!asks_for(question, DnsType::kSrv)) return;
    for (const auto& port : service.ports) reply.answers.push_back({question.name, DnsType::kSrv, 5, base_name, 0, 100, port.port});
    return;
  }

  if (front.size() == 1 && service.headless) {
    for (const auto* e : endpoints)
      if ((e->hostname == front[0] || dashed_ip(e->ip) == front[0]) && asks_for(question, DnsType::kA))
        add_address(reply.answers, question.name, e->ip);
    bool exists = std::ranges::any_of(endpoints, [&](const auto* e) { return e->hostname == front[0] || dashed_ip(e->ip) == front[0]; });
    if (!exists) reply.code = DnsCode::kNxDomain;
    return;
  }

  if (front.size() == 2 && front[0].starts_with('_') && front[1].starts_with('_')) {
    // _port._protocol.service...
    bool exists = false;
    for (const auto& port : service.ports) {
      if ("_" + base::to_lower(port.name) != front[0] || "_" + base::to_lower(port.protocol) != front[1]) continue;
      exists = true;
      if (!asks_for(question, DnsType::kSrv)) continue;
      if (!service.headless) {
        reply.answers.push_back({question.name, DnsType::kSrv, 5, base_name, 0, 100, port.port});
        add_address(reply.additional, base_name, service.cluster_ip);
        continue;
      }
      for (const auto& e : port.endpoints) {
        if (!e.ready && !service.publish_not_ready) continue;
        std::string target = endpoint_label(e) + "." + base_name;
        reply.answers.push_back({question.name, DnsType::kSrv, 5, target, 0, 100, e.port});
        add_address(reply.additional, target, e.ip);
      }
    }
    if (!exists) reply.code = DnsCode::kNxDomain;
    return;
  }
  reply.code = DnsCode::kNxDomain;
}

}  // namespace fairlead::node
