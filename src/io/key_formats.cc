#include "io/key_formats.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include <algorithm>

#include "io/x509.h"

namespace fairlead::io {
namespace {

int give_password(char* into, int size, int, void* user) {
  const auto& password = *static_cast<const std::string_view*>(user);
  if (password.size() > static_cast<size_t>(size)) return -1;
  std::ranges::copy(password, into);
  return static_cast<int>(password.size());
}

std::string pem_of(EVP_PKEY* key) {
  BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  long length = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<size_t>(length)};
}

}  // namespace

base::Result<std::string> decrypt_key(std::string_view pem, std::string_view password) {
  BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, give_password, &password));
  if (!key) return openssl_failure("the private key can't be opened with this password");
  return pem_of(key.get());
}

base::Result<KeyPair> read_pkcs12(std::string_view der, std::string_view password) {
  auto* p = reinterpret_cast<const unsigned char*>(der.data());
  std::unique_ptr<PKCS12, FreeWith<PKCS12_free>> file(d2i_PKCS12(nullptr, &p, static_cast<long>(der.size())));
  if (!file) return openssl_failure("the bytes are not a PKCS #12 file");
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* more = nullptr;
  bool opened = PKCS12_parse(file.get(), std::string(password).c_str(), &key, &leaf, &more) == 1;
  KeyPtr own_key(key);
  X509Ptr own_leaf(leaf);
  KeyPair out;
  if (opened && key && leaf) {
    out.key_pem = pem_of(key);
    out.certificate_pem = to_pem(leaf);
    for (int i = 0; i < sk_X509_num(more); ++i) out.certificate_pem += to_pem(sk_X509_value(more, i));
  }
  sk_X509_pop_free(more, X509_free);
  if (!opened) return openssl_failure("the PKCS #12 file can't be opened with this password");
  if (out.key_pem.empty()) return base::fail(base::Code::kInvalidArgument, "the PKCS #12 file has no private key with its certificate");
  return out;
}

}  // namespace fairlead::io
