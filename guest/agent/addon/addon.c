/*
 * What our Nodes call in C: giving memory back, and of the OpenSSL that Node carries the two functions that the agent
 * needs. Node's own way to them loads and keeps 1.3 MB, which would be in every snapshot.
 *
 * Declared here and not included: the build host has no headers of its Node, nor of Node's OpenSSL.
 * Sources: Node-API version 1, OpenSSL 3.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);
enum { NAPI_OK = 0 };

int napi_get_cb_info(napi_env, napi_callback_info, size_t *count, napi_value *arguments, napi_value *this, void **data);
int napi_get_buffer_info(napi_env, napi_value, void **data, size_t *length);
int napi_create_buffer_copy(napi_env, size_t length, const void *data, void **copy, napi_value *result);
int napi_get_boolean(napi_env, bool value, napi_value *result);
int napi_create_function(napi_env, const char *name, size_t length, napi_callback, void *data, napi_value *result);
int napi_set_named_property(napi_env, napi_value object, const char *name, napi_value value);
int napi_throw_type_error(napi_env, const char *code, const char *message);

typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_ctx_st EVP_MD_CTX;
enum { ED25519 = 1087, SHA256_BYTES = 32 };

unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest);
EVP_PKEY *EVP_PKEY_new_raw_public_key(int type, void *engine, const unsigned char *key, size_t length);
void EVP_PKEY_free(EVP_PKEY *);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *);
int EVP_DigestVerifyInit(EVP_MD_CTX *, void *context, void *digest, void *engine, EVP_PKEY *);
int EVP_DigestVerify(EVP_MD_CTX *, const unsigned char *signature, size_t signature_length, const unsigned char *data, size_t length);
void ERR_clear_error(void);

struct bytes {
	void *data;
	size_t length;
};

/* False, and an exception is pending, unless all arguments are there and hold bytes. */
static bool read_arguments(napi_env env, napi_callback_info info, size_t count, struct bytes *arguments) {
	napi_value values[3];
	size_t given = count;
	bool valid = napi_get_cb_info(env, info, &given, values, NULL, NULL) == NAPI_OK && given >= count;
	for (size_t i = 0; valid && i < count; i++)
		valid = napi_get_buffer_info(env, values[i], &arguments[i].data, &arguments[i].length) == NAPI_OK;
	if (!valid)
		napi_throw_type_error(env, NULL, "the arguments must be buffers");
	return valid;
}

/* trim(): pages of freed memory go back to the kernel. */
static napi_value trim(napi_env env, napi_callback_info info) {
	(void)env, (void)info;
	malloc_trim(0);
	return NULL;
}

/* sha256(data): the digest. */
static napi_value sha256(napi_env env, napi_callback_info info) {
	struct bytes data;
	unsigned char digest[SHA256_BYTES];
	napi_value result = NULL;
	if (!read_arguments(env, info, 1, &data))
		return NULL;
	SHA256(data.data, data.length, digest);
	napi_create_buffer_copy(env, sizeof digest, digest, NULL, &result);
	return result;
}

static bool is_signed(EVP_PKEY *key, struct bytes message, struct bytes signature) {
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool valid = context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
	             EVP_DigestVerify(context, signature.data, signature.length, message.data, message.length) == 1;
	EVP_MD_CTX_free(context);
	return valid;
}

/* verifyEd25519(key, message, signature): whether it is that key's signature. The key is raw. */
static napi_value verify_ed25519(napi_env env, napi_callback_info info) {
	struct bytes arguments[3];
	napi_value result = NULL;
	if (!read_arguments(env, info, 3, arguments))
		return NULL;
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(ED25519, NULL, arguments[0].data, arguments[0].length);
	bool valid = key != NULL && is_signed(key, arguments[1], arguments[2]);
	EVP_PKEY_free(key);
	/* Node takes what is left in there for the reason of its own next failure. */
	ERR_clear_error();
	napi_get_boolean(env, valid, &result);
	return result;
}

static void add(napi_env env, napi_value exports, const char *name, napi_callback callback) {
	napi_value function;
	if (napi_create_function(env, name, (size_t)-1, callback, NULL, &function) == NAPI_OK)
		napi_set_named_property(env, exports, name, function);
}

napi_value napi_register_module_v1(napi_env env, napi_value exports);
napi_value napi_register_module_v1(napi_env env, napi_value exports) {
	add(env, exports, "trim", trim);
	add(env, exports, "sha256", sha256);
	add(env, exports, "verifyEd25519", verify_ed25519);
	return exports;
}
