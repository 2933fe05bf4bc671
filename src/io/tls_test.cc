// Handshakes over memory: who is let in, which certificate is shown, when a session is resumed.
#include "io/tls.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace fairlead::io {
namespace {

struct Ends {
  Loop loop;
  std::unique_ptr<Transport> server, client;
  TlsCounters server_counters, client_counters;

  // True when both ends finished; a little data follows, which carries session tickets to the client.
  bool shake(std::shared_ptr<const TlsContext> s, std::shared_ptr<const TlsContext> c, TlsDial dial = {}) {
    auto [a, b] = make_memory_pair(loop);
    dial.counters = &client_counters;
    server = make_tls_server(loop, std::move(a), std::move(s), &server_counters);
    client = make_tls_client(loop, std::move(b), std::move(c), dial);
    IoStatus at_server = IoStatus::kAgain, at_client = IoStatus::kAgain;
    for (int i = 0; i < 20; ++i) {
      if (at_server == IoStatus::kAgain) at_server = drive_handshake(*server);
      if (at_client == IoStatus::kAgain) at_client = drive_handshake(*client);
      loop.run_once(base::Nanos(0));
    }
    if (at_server != IoStatus::kOk || at_client != IoStatus::kOk) return false;
    char byte[16];
    server->write("hello");
    loop.run_once(base::Nanos(0));
    return client->read(byte).status == IoStatus::kOk;
  }
};

struct World {
  KeyPair ca = *issue_certificate({.common_name = "ca", .is_ca = true}, nullptr);
  KeyPair server = *issue_certificate({.common_name = "a", .dns_names = {"a.test"}, .uris = {"spiffe://cluster.local/ns/x/sa/server"}}, &ca);
  KeyPair client = *issue_certificate({.uris = {"spiffe://cluster.local/ns/x/sa/client"}}, &ca);

  TlsOptions server_options() const { return {.certificate_pem = server.certificate_pem, .key_pem = server.key_pem}; }
  TlsOptions mutual() const {
    TlsOptions o = server_options();
    o.ca_pem = ca.certificate_pem;
    o.require_client_certificate = true;
    return o;
  }
  TlsOptions client_options() const { return {.certificate_pem = client.certificate_pem, .key_pem = client.key_pem, .ca_pem = ca.certificate_pem}; }
};

TEST(TlsMutual, TellsBothSidesWhoThePeerIs) {
  World w;
  Ends e;
  ASSERT_TRUE(e.shake(*TlsContext::server(w.mutual()), *TlsContext::client(w.client_options())));
  auto at_server = e.server->tls_info(), at_client = e.client->tls_info();
  ASSERT_TRUE(at_server && at_server->peer && at_client && at_client->peer);
  EXPECT_EQ(at_server->peer->uris, std::vector<std::string>{"spiffe://cluster.local/ns/x/sa/client"});
  EXPECT_TRUE(at_server->peer_verified);
  EXPECT_EQ(at_server->local->uris, std::vector<std::string>{"spiffe://cluster.local/ns/x/sa/server"});
  EXPECT_EQ(at_client->peer->subject, "CN=a");
  EXPECT_EQ(at_client->version, "TLSv1.3");
  EXPECT_EQ(at_server->peer->sha256.size(), 64u);
  EXPECT_EQ(e.server_counters.handshake, 1u);
}

TEST(TlsMutual, RefusesAClientWithoutACertificateAndCountsIt) {
  World w;
  Ends e;
  TlsOptions anonymous{.ca_pem = w.ca.certificate_pem};
  EXPECT_FALSE(e.shake(*TlsContext::server(w.mutual()), *TlsContext::client(anonymous)));
  EXPECT_EQ(e.server_counters.fail_verify_no_cert, 1u);
  EXPECT_EQ(e.server_counters.handshake, 0u);
}

TEST(TlsMutual, RefusesAnotherCasClientsAndNamesThatAreNotWanted) {
  World w, other;
  Ends foreign;
  TlsOptions c = other.client_options();
  c.ca_pem = w.ca.certificate_pem;
  EXPECT_FALSE(foreign.shake(*TlsContext::server(w.mutual()), *TlsContext::client(c)));
  EXPECT_EQ(foreign.server_counters.fail_verify_error, 1u);
  Ends unwanted;
  TlsOptions s = w.mutual();
  s.accept_peer = [](const CertificateFacts& f) { return !f.uris.empty() && f.uris[0].ends_with("/sa/admin"); };
  EXPECT_FALSE(unwanted.shake(*TlsContext::server(s), *TlsContext::client(w.client_options())));
  EXPECT_EQ(unwanted.server_counters.fail_verify_san, 1u);
}

TEST(TlsMutual, PinsAcceptTheirCertificateAlone) {
  World w;
  TlsOptions s = w.mutual();
  s.certificate_pins = {certificate_facts(w.client.certificate_pem)->sha256};
  Ends pinned;
  EXPECT_TRUE(pinned.shake(*TlsContext::server(s), *TlsContext::client(w.client_options())));
  s.certificate_pins = {certificate_facts(w.server.certificate_pem)->sha256};
  Ends another;
  EXPECT_FALSE(another.shake(*TlsContext::server(s), *TlsContext::client(w.client_options())));
  EXPECT_EQ(another.server_counters.fail_verify_cert_hash, 1u);
}

TEST(TlsMutual, AnOptionalCertificateMayBeMissingButNotBeForeign) {
  World w, other;
  TlsOptions s = w.mutual();
  s.require_client_certificate = false;
  s.request_client_certificate = true;
  Ends without;
  EXPECT_TRUE(without.shake(*TlsContext::server(s), *TlsContext::client({.ca_pem = w.ca.certificate_pem})));
  EXPECT_EQ(without.server_counters.no_certificate, 1u);
  Ends foreign;
  TlsOptions c = other.client_options();
  c.ca_pem = w.ca.certificate_pem;
  EXPECT_FALSE(foreign.shake(*TlsContext::server(s), *TlsContext::client(c)));
}

TEST(TlsServer, ShowsTheCertificateOfTheNameAskedFor) {
  World w;
  KeyPair b = *issue_certificate({.common_name = "b", .dns_names = {"*.b.test"}}, &w.ca);
  TlsOptions s = w.server_options();
  s.more_certificates = {b};
  auto server = *TlsContext::server(s);
  auto client = *TlsContext::client({.ca_pem = w.ca.certificate_pem});
  for (auto [name, subject] : {std::pair{"a.test", "CN=a"}, std::pair{"x.b.test", "CN=b"}, std::pair{"other.test", "CN=a"}}) {
    Ends e;
    ASSERT_TRUE(e.shake(server, client, {.sni = name}));
    EXPECT_EQ(e.client->tls_info()->peer->subject, subject) << name;
  }
}

TEST(TlsServer, AKeyOfAnotherCertificateIsOneSentence) {
  World w;
  auto made = TlsContext::server({.certificate_pem = w.server.certificate_pem, .key_pem = w.client.key_pem});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "the private key does not fit the certificate of CN=a");
}

TEST(TlsSessions, AreResumedByAnyContextOfTheSameRules) {
  World w;
  TlsOptions c = w.client_options();
  c.max_sessions = 1;
  auto client = *TlsContext::client(c);
  Ends first;
  ASSERT_TRUE(first.shake(*TlsContext::server(w.mutual()), client));
  EXPECT_FALSE(first.client->tls_info()->resumed);
  // As after a renewed listener: another context, the same process.
  Ends second;
  ASSERT_TRUE(second.shake(*TlsContext::server(w.mutual()), client));
  EXPECT_TRUE(second.client->tls_info()->resumed);
  EXPECT_EQ(second.server_counters.session_reused, 1u);
  EXPECT_EQ(second.server->tls_info()->peer->uris, std::vector<std::string>{"spiffe://cluster.local/ns/x/sa/client"});
  EXPECT_TRUE(second.server->tls_info()->peer_verified);
}

// A ticket serves once: each resumed connection has to bring the next one's.
TEST(TlsSessions, GoOnFromConnectionToConnection) {
  World w;
  TlsOptions c = w.client_options();
  c.max_sessions = 1;
  auto client = *TlsContext::client(c);
  auto server = *TlsContext::server(w.mutual());
  for (int i = 0; i < 5; ++i) {
    Ends ends;
    ASSERT_TRUE(ends.shake(server, client));
    EXPECT_EQ(ends.client->tls_info()->resumed, i > 0) << i;
  }
}

TEST(TlsSessions, AreNotResumedUnderOtherRules) {
  World w;
  TlsOptions c = w.client_options();
  c.max_sessions = 1;
  auto client = *TlsContext::client(c);
  Ends first;
  ASSERT_TRUE(first.shake(*TlsContext::server(w.mutual()), client));
  TlsOptions stricter = w.mutual();
  stricter.verification_identity = "only admins";
  stricter.accept_peer = [](const CertificateFacts&) { return false; };
  Ends second;
  EXPECT_FALSE(second.shake(*TlsContext::server(stricter), client));
  EXPECT_EQ(second.server_counters.fail_verify_san, 1u);
}

TEST(TlsVersions, ThatDoNotMeetEndTheHandshake) {
  World w;
  TlsOptions s = w.server_options();
  s.min_version = 13;
  TlsOptions c{.ca_pem = w.ca.certificate_pem};
  c.max_version = 12;
  Ends e;
  EXPECT_FALSE(e.shake(*TlsContext::server(s), *TlsContext::client(c)));
  EXPECT_EQ(e.server_counters.connection_error, 1u);
}

TEST(SigningRequests, AreAnsweredWithTheNamesThatTheCaChooses) {
  World w;
  auto request = make_signing_request("spiffe://cluster.local/ns/x/sa/liar");
  ASSERT_TRUE(request);
  auto signed_pem = sign_request(request->csr_pem, {.uris = {"spiffe://cluster.local/ns/x/sa/honest"}}, w.ca);
  ASSERT_TRUE(signed_pem) << signed_pem.error().text();
  EXPECT_EQ(certificate_facts(*signed_pem)->uris, std::vector<std::string>{"spiffe://cluster.local/ns/x/sa/honest"});
  EXPECT_TRUE(check_key_pair({*signed_pem, request->key_pem}));
}

}  // namespace
}  // namespace fairlead::io
