#include "io/x509.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "base/strings.h"
#include "base/value.h"
#include "io/address.h"
#include "io/tls_state.h"

namespace fairlead::io {
namespace {

BioPtr reader(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string contents(BIO* bio) {
  char* data = nullptr;
  long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(length)};
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (!extension) return false;
  bool ok = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return ok;
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

// ECDSA signatures are DER in OpenSSL and r||s, 32 bytes each, in a JWT (RFC 7518 section 3.4).
std::string der_to_raw(std::string_view der) {
  auto* p = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* sig = d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size()));
  if (!sig) return {};
  std::string raw(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(sig), reinterpret_cast<unsigned char*>(raw.data()), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(sig), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
  ECDSA_SIG_free(sig);
  return raw;
}

std::string raw_to_der(std::string_view raw) {
  ECDSA_SIG* sig = ECDSA_SIG_new();
  auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG_set0(sig, BN_bin2bn(bytes, 32, nullptr), BN_bin2bn(bytes + 32, 32, nullptr));
  unsigned char* der = nullptr;
  int length = i2d_ECDSA_SIG(sig, &der);
  std::string out(reinterpret_cast<char*>(der), length > 0 ? static_cast<size_t>(length) : 0);
  OPENSSL_free(der);
  ECDSA_SIG_free(sig);
  return out;
}

using DigestPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;

}  // namespace

std::unexpected<base::Error> openssl_failure(std::string_view what) {
  char text[256] = "";
  if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return base::fail(base::Code::kInvalidArgument, "{}{}{}", what, *text ? ": " : "", text);
}

base::Result<std::vector<X509Ptr>> certificates_from_pem(std::string_view pem) {
  std::vector<X509Ptr> out;
  auto bio = reader(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  ERR_clear_error();  // the end of the text reads as "no start line"
  if (out.empty()) return base::fail(base::Code::kInvalidArgument, "no PEM certificate found");
  return out;
}

base::Result<KeyPtr> key_from_pem(std::string_view pem) {
  auto bio = reader(pem);
  // Without a callback OpenSSL would ask for a password on the terminal.
  bool locked = false;
  auto no_password = [](char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
  };
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, &locked));
  if (!key && locked) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalidArgument, "the private key is encrypted; give its password");
  }
  if (!key) return openssl_failure("no PEM private key found");
  return key;
}

std::string to_pem(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return contents(bio.get());
}

namespace {

std::string key_pem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return contents(bio.get());
}

// A certificate for a public key; self-signed by own_key when issuer is nullptr.
base::Result<std::string> certify(EVP_PKEY* subject_key, const CertificateRequest& request, const KeyPair* issuer) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::string serial = random_bytes(16);
  serial[0] &= 0x7f;  // positive (RFC 5280 section 4.1.2.2)
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -300);  // clocks differ a little
  auto seconds = request.valid_for_seconds.count() ? request.valid_for_seconds : std::chrono::seconds(request.valid_for);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(seconds.count() / 86400), static_cast<long>(seconds.count() % 86400), nullptr);
  X509_set_pubkey(certificate.get(), subject_key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  for (const auto& o : request.organizations) add_name(name, "O", o);
  if (!request.common_name.empty()) add_name(name, "CN", request.common_name);

  X509Ptr issuer_certificate;
  KeyPtr issuer_key;
  if (issuer) {
    auto certificates = certificates_from_pem(issuer->certificate_pem);
    if (!certificates) return std::unexpected(certificates.error());
    issuer_certificate = std::move(certificates->front());
    auto parsed = key_from_pem(issuer->key_pem);
    if (!parsed) return std::unexpected(parsed.error());
    issuer_key = std::move(*parsed);
  }
  X509* signer = issuer ? issuer_certificate.get() : certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));

  std::vector<std::string> names;
  for (const auto& dns : request.dns_names) names.push_back("DNS:" + dns);
  for (const auto& ip : request.ips) names.push_back("IP:" + ip);
  for (const auto& uri : request.uris) names.push_back("URI:" + uri);
  bool ok = add_extension(certificate.get(), signer, NID_subject_key_identifier, "hash");
  if (issuer) ok = ok && add_extension(certificate.get(), signer, NID_authority_key_identifier, "keyid");
  if (request.is_ca) {
    ok = ok && add_extension(certificate.get(), signer, NID_basic_constraints, "critical,CA:TRUE") &&
         add_extension(certificate.get(), signer, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
  } else {
    bool rsa = EVP_PKEY_get_base_id(subject_key) == EVP_PKEY_RSA;
    ok = ok && add_extension(certificate.get(), signer, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate.get(), signer, NID_key_usage, rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
         add_extension(certificate.get(), signer, NID_ext_key_usage, "serverAuth,clientAuth");
  }
  // Without a subject the names are what identifies, and have to be understood (RFC 5280 section 4.2.1.6).
  bool no_subject = X509_NAME_entry_count(name) == 0;
  if (!names.empty())
    ok = ok && add_extension(certificate.get(), signer, NID_subject_alt_name, (no_subject ? "critical," : "") + base::join(names, ","));
  if (!ok) return openssl_failure("certificate extensions");
  if (X509_sign(certificate.get(), issuer ? issuer_key.get() : subject_key, EVP_sha256()) == 0) return openssl_failure("signing");
  return to_pem(certificate.get());
}

int64_t seconds_of(const ASN1_TIME* time) {
  tm when{};
  return ASN1_TIME_to_tm(time, &when) == 1 ? ::timegm(&when) : 0;
}

std::string name_text(const X509_NAME* name) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return contents(bio.get());
}

std::string hex_digest(X509* certificate, const EVP_MD* kind) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  X509_digest(certificate, kind, bytes, &length);
  return base::hex_encode({reinterpret_cast<const char*>(bytes), length});
}

}  // namespace

base::Result<KeyPair> issue_certificate(const CertificateRequest& request, const KeyPair* issuer) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failure("key generation");
  auto certificate = certify(key.get(), request, issuer);
  if (!certificate) return std::unexpected(certificate.error());
  return KeyPair{*certificate, key_pem(key.get())};
}

base::Result<SigningRequest> make_signing_request(std::string_view uri) {
  KeyPtr key(EVP_EC_gen("P-256"));
  std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>> request(X509_REQ_new());
  if (!key || !request) return openssl_failure("key generation");
  X509_REQ_set_version(request.get(), 0);
  X509_REQ_set_pubkey(request.get(), key.get());
  if (!uri.empty()) {
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("critical,URI:" + std::string(uri)).c_str());
    if (!names) return openssl_failure("the identity");
    STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(list, names);
    X509_REQ_add_extensions(request.get(), list);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
  if (X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) return openssl_failure("signing");
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return SigningRequest{contents(bio.get()), key_pem(key.get())};
}

base::Result<std::string> sign_request(std::string_view csr_pem, const CertificateRequest& names, const KeyPair& issuer) {
  auto bio = reader(csr_pem);
  std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>> request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return openssl_failure("no PEM certificate request found");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!key || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalidArgument, "the request is not signed with the key that it is for");
  }
  return certify(key, names, &issuer);
}

std::shared_ptr<const CertificateFacts> facts_of(X509* certificate) {
  auto out = std::make_shared<CertificateFacts>();
  out->subject = name_text(X509_get_subject_name(certificate));
  out->issuer = name_text(X509_get_issuer_name(certificate));
  if (BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr)) {
    if (char* text = BN_bn2hex(number)) {
      out->serial = base::to_lower(text);
      OPENSSL_free(text);
    }
    BN_free(number);
  }
  out->sha256 = hex_digest(certificate, EVP_sha256());
  out->sha1 = hex_digest(certificate, EVP_sha1());
  out->not_before = seconds_of(X509_get0_notBefore(certificate));
  out->not_after = seconds_of(X509_get0_notAfter(certificate));
  if (auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
      const GENERAL_NAME* n = sk_GENERAL_NAME_value(names, i);
      if (n->type == GEN_IPADD) {
        const ASN1_STRING* value = n->d.iPAddress;
        char text[INET6_ADDRSTRLEN] = "";
        int family = ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6;
        if (ASN1_STRING_length(value) == 4 || ASN1_STRING_length(value) == 16) inet_ntop(family, ASN1_STRING_get0_data(value), text, sizeof text);
        out->ips.push_back(text);
      }
      if (n->type != GEN_DNS && n->type != GEN_URI && n->type != GEN_EMAIL) continue;
      const ASN1_STRING* value = n->d.ia5;
      std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<size_t>(ASN1_STRING_length(value)));
      (n->type == GEN_DNS ? out->dns_names : n->type == GEN_URI ? out->uris : out->emails).push_back(std::move(text));
    }
    GENERAL_NAMES_free(names);
  }
  return out;
}

base::Result<CertificateFacts> certificate_facts(std::string_view pem) {
  auto certificates = certificates_from_pem(pem);
  if (!certificates) return std::unexpected(certificates.error());
  return *facts_of(certificates->front().get());
}

base::Result<CertificateInfo> inspect_certificate(std::string_view pem) {
  auto certificates = certificates_from_pem(pem);
  if (!certificates) return std::unexpected(certificates.error());
  X509* certificate = certificates->front().get();
  CertificateInfo info;
  X509_NAME* name = X509_get_subject_name(certificate);
  auto text_of = [&](int index) {
    ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<size_t>(ASN1_STRING_length(value)));
  };
  if (int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1); i >= 0) info.common_name = text_of(i);
  for (int i = -1; (i = X509_NAME_get_index_by_NID(name, NID_organizationName, i)) >= 0;) info.organizations.push_back(text_of(i));
  if (auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
      const GENERAL_NAME* n = sk_GENERAL_NAME_value(names, i);
      if (n->type != GEN_DNS && n->type != GEN_URI) continue;
      const ASN1_STRING* value = n->d.ia5;
      std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<size_t>(ASN1_STRING_length(value)));
      (n->type == GEN_DNS ? info.dns_names : info.uris).push_back(std::move(text));
    }
    GENERAL_NAMES_free(names);
  }
  tm when{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when)) info.not_after = ::timegm(&when);
  return info;
}

base::Result<std::string> sign_jwt_es256(std::string_view claims_json, std::string_view key_pem) {
  auto key = key_from_pem(key_pem);
  if (!key) return std::unexpected(key.error());
  std::string input = base::base64url_encode(R"({"alg":"ES256","typ":"JWT"})") + "." + base::base64url_encode(claims_json);
  DigestPtr digest(EVP_MD_CTX_new());
  size_t length = 0;
  std::string der(128, '\0');
  length = der.size();
  if (EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key->get()) != 1 ||
      EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(der.data()), &length,
                     reinterpret_cast<const unsigned char*>(input.data()), input.size()) != 1)
    return openssl_failure("signing a token");
  return input + "." + base::base64url_encode(der_to_raw(std::string_view(der).substr(0, length)));
}

base::Result<std::string> verify_jwt_es256(std::string_view token, std::string_view key_pem) {
  auto key = key_from_pem(key_pem);
  if (!key) return std::unexpected(key.error());
  auto parts = base::split(token, '.');
  auto bad = [](std::string_view why) { return base::fail(base::Code::kUnauthenticated, "invalid token: {}", why); };
  if (parts.size() != 3) return bad("not three parts");
  auto header = base::base64url_decode(parts[0]), claims = base::base64url_decode(parts[1]), signature = base::base64url_decode(parts[2]);
  if (!header || !claims || !signature || signature->size() != 64) return bad("encoding");
  auto parsed = base::parse_json(*header);
  if (!parsed || (*parsed)["alg"].as_string() != "ES256") return bad("algorithm");
  std::string der = raw_to_der(*signature);
  std::string_view input = token.substr(0, parts[0].size() + 1 + parts[1].size());
  DigestPtr digest(EVP_MD_CTX_new());
  bool ok = EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key->get()) == 1 &&
            EVP_DigestVerify(digest.get(), reinterpret_cast<const unsigned char*>(der.data()), der.size(),
                             reinterpret_cast<const unsigned char*>(input.data()), input.size()) == 1;
  ERR_clear_error();
  if (!ok) return bad("signature");
  return *claims;
}

std::string sha256(std::string_view bytes) {
  std::string out(32, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) std::abort();
  return out;
}

}  // namespace fairlead::io
