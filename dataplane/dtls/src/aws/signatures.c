// What `calls.rs` declares, declared once more for a C compiler that reads AWS-LC's headers: a
// difference is an error of the build. A test compares the names of the two files.
//
// Nothing of this reaches a program.

#include <stddef.h>
#include <sys/time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

// Contexts.
const SSL_METHOD *DTLS_with_buffers_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
void SSL_CTX_free(SSL_CTX *ctx);
int SSL_CTX_set_min_proto_version(SSL_CTX *ctx, uint16_t version);
int SSL_CTX_set_max_proto_version(SSL_CTX *ctx, uint16_t version);
int SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, int mode);
uint32_t SSL_CTX_set_options(SSL_CTX *ctx, uint32_t options);
int SSL_CTX_set_strict_cipher_list(SSL_CTX *ctx, const char *names);
int SSL_CTX_set1_groups_list(SSL_CTX *ctx, const char *names);
int SSL_CTX_set_srtp_profiles(SSL_CTX *ctx, const char *names);
int SSL_CTX_set_verify_algorithm_prefs(SSL_CTX *ctx, const uint16_t *prefs, size_t count);
void SSL_CTX_set_custom_verify(SSL_CTX *ctx, int mode,
                               enum ssl_verify_result_t (*callback)(SSL *ssl, uint8_t *alert));
int SSL_CTX_set_chain_and_key(SSL_CTX *ctx, CRYPTO_BUFFER *const *certificates, size_t count,
                              EVP_PKEY *key, const SSL_PRIVATE_KEY_METHOD *method);
void SSL_CTX_set_max_cert_list(SSL_CTX *ctx, size_t len);
void SSL_CTX_set_current_time_cb(SSL_CTX *ctx,
                                 void (*callback)(const SSL *ssl, struct timeval *out));

// Connections.
SSL *SSL_new(SSL_CTX *ctx);
void SSL_free(SSL *ssl);
void SSL_set_accept_state(SSL *ssl);
void SSL_set_connect_state(SSL *ssl);
int SSL_set_mtu(SSL *ssl, unsigned mtu);
void SSL_set_bio(SSL *ssl, BIO *reads, BIO *writes);
void SSL_set_shed_handshake_config(SSL *ssl, int enable);
int SSL_do_handshake(SSL *ssl);
int SSL_read(SSL *ssl, void *out, int len);
int SSL_write(SSL *ssl, const void *data, int len);
int SSL_shutdown(SSL *ssl);
int SSL_get_error(const SSL *ssl, int result);
const struct stack_st_CRYPTO_BUFFER *SSL_get0_peer_certificates(const SSL *ssl);
const SRTP_PROTECTION_PROFILE *SSL_get_selected_srtp_profile(SSL *ssl);
int SSL_export_keying_material(SSL *ssl, uint8_t *out, size_t len, const char *label,
                               size_t label_len, const uint8_t *context, size_t context_len,
                               int use_context);
int DTLSv1_get_timeout(const SSL *ssl, struct timeval *out);
int DTLSv1_handle_timeout(SSL *ssl);
void DTLSv1_set_initial_timeout_duration(SSL *ssl, unsigned duration_ms);

// Their way to the network.
BIO_METHOD *BIO_meth_new(int type, const char *name);
int BIO_meth_set_read(BIO_METHOD *method, int (*callback)(BIO *, char *, int));
int BIO_meth_set_write(BIO_METHOD *method, int (*callback)(BIO *, const char *, int));
int BIO_meth_set_ctrl(BIO_METHOD *method, long (*callback)(BIO *, int, long, void *));
BIO *BIO_new(const BIO_METHOD *method);
void BIO_set_data(BIO *bio, void *data);
void *BIO_get_data(BIO *bio);
void BIO_set_init(BIO *bio, int init);
void BIO_set_retry_read(BIO *bio);
void BIO_clear_retry_flags(BIO *bio);

// Errors.
void ERR_clear_error(void);
uint32_t ERR_peek_error(void);
const char *ERR_reason_error_string(uint32_t packed_error);

// Certificates and keys.
CRYPTO_BUFFER *CRYPTO_BUFFER_new(const uint8_t *data, size_t len, CRYPTO_BUFFER_POOL *pool);
void CRYPTO_BUFFER_free(CRYPTO_BUFFER *buffer);
const uint8_t *CRYPTO_BUFFER_data(const CRYPTO_BUFFER *buffer);
size_t CRYPTO_BUFFER_len(const CRYPTO_BUFFER *buffer);
void *OPENSSL_sk_value(const OPENSSL_STACK *stack, size_t index);
EVP_PKEY_CTX *EVP_PKEY_CTX_new_id(int id, ENGINE *engine);
void EVP_PKEY_CTX_free(EVP_PKEY_CTX *ctx);
int EVP_PKEY_keygen_init(EVP_PKEY_CTX *ctx);
int EVP_PKEY_keygen(EVP_PKEY_CTX *ctx, EVP_PKEY **out);
int EVP_PKEY_CTX_set_ec_paramgen_curve_nid(EVP_PKEY_CTX *ctx, int nid);
int EVP_PKEY_CTX_set_rsa_keygen_bits(EVP_PKEY_CTX *ctx, int bits);
void EVP_PKEY_free(EVP_PKEY *key);
X509 *X509_new(void);
void X509_free(X509 *certificate);
int X509_set_version(X509 *certificate, long version);
ASN1_INTEGER *X509_get_serialNumber(X509 *certificate);
int ASN1_INTEGER_set_uint64(ASN1_INTEGER *out, uint64_t value);
X509_NAME *X509_get_subject_name(const X509 *certificate);
int X509_set_issuer_name(X509 *certificate, X509_NAME *name);
int X509_NAME_add_entry_by_txt(X509_NAME *name, const char *field, int type, const uint8_t *text,
                               ossl_ssize_t len, int at, int set);
ASN1_TIME *X509_getm_notBefore(X509 *certificate);
ASN1_TIME *X509_getm_notAfter(X509 *certificate);
ASN1_TIME *ASN1_TIME_set_posix(ASN1_TIME *out, int64_t unix_s);
int X509_set_pubkey(X509 *certificate, EVP_PKEY *key);
const EVP_MD *EVP_sha256(void);
int X509_sign(X509 *certificate, EVP_PKEY *key, const EVP_MD *digest);
int i2d_X509(X509 *certificate, uint8_t **out);
int RAND_bytes(uint8_t *out, size_t len);

// Digests.
uint8_t *MD5(const uint8_t *data, size_t len, uint8_t out[16]);
uint8_t *SHA1(const uint8_t *data, size_t len, uint8_t out[20]);
uint8_t *SHA224(const uint8_t *data, size_t len, uint8_t out[28]);
uint8_t *SHA256(const uint8_t *data, size_t len, uint8_t out[32]);
uint8_t *SHA384(const uint8_t *data, size_t len, uint8_t out[48]);
uint8_t *SHA512(const uint8_t *data, size_t len, uint8_t out[64]);

#define SAME(name, value) _Static_assert((name) == (value), #name " differs from calls.rs")

SAME(SSL_ERROR_WANT_READ, 2);
SAME(SSL_ERROR_ZERO_RETURN, 6);
SAME(SSL_VERIFY_PEER, 1);
SAME(SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 2);
SAME(SSL_OP_NO_TICKET, 0x4000);
SAME(SSL_OP_NO_QUERY_MTU, 0x1000);
SAME(SSL_SESS_CACHE_OFF, 0);
SAME(DTLS1_2_VERSION, 0xfefd);
SAME(BIO_CTRL_FLUSH, 11);
SAME(BIO_CTRL_DGRAM_QUERY_MTU, 40);
SAME(BIO_TYPE_SOURCE_SINK, 0x400);
SAME(ssl_verify_ok, 0);
SAME(sizeof(enum ssl_verify_result_t), sizeof(int));
SAME(EVP_PKEY_EC, 408);
SAME(EVP_PKEY_RSA, 6);
SAME(NID_X9_62_prime256v1, 415);
SAME(MBSTRING_UTF8, 0x1000);
SAME(X509_VERSION_3, 2);
SAME(ERR_LIB_SSL, 16);
SAME(SSL_AD_REASON_OFFSET, 1000);
SAME(SRTP_AES128_CM_SHA1_80, 1);
SAME(SRTP_AEAD_AES_128_GCM, 7);
SAME(SRTP_AEAD_AES_256_GCM, 8);
SAME(offsetof(SRTP_PROTECTION_PROFILE, id), sizeof(char *));
SAME(sizeof(((SRTP_PROTECTION_PROFILE *)0)->id), sizeof(long));
SAME(sizeof(struct timeval), 2 * sizeof(long));
SAME(offsetof(struct timeval, tv_usec), sizeof(long));
