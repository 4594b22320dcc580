#include "curl_library.hpp"

#include <dlfcn.h>
#include <string>

namespace skerry::agent {
namespace {

constexpr const char* kCurlName = "libcurl.so.4";
// CURLOPT_PROTOCOLS_STR, and certificates from memory.
constexpr unsigned kOldestCurl = 0x075500;

template <class Function>
bool bind_symbol(void* library, const char* name, Function& out) {
  out = reinterpret_cast<Function>(::dlsym(library, name));
  return out != nullptr;
}

Result<CurlLibrary> load_curl() {
  void* library = ::dlopen(kCurlName, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error{Error::Code::kUnimplemented,
                 std::string{kCurlName} + " is not installed (package libcurl4)"};
  }
  CurlLibrary curl;
  decltype(&curl_global_init) global_init = nullptr;
  decltype(&curl_version_info) version_info = nullptr;
  const bool bound = bind_symbol(library, "curl_global_init", global_init) &&
                     bind_symbol(library, "curl_version_info", version_info) &&
                     bind_symbol(library, "curl_easy_init", curl.easy_init) &&
                     bind_symbol(library, "curl_easy_cleanup", curl.easy_cleanup) &&
                     bind_symbol(library, "curl_easy_setopt", curl.easy_setopt) &&
                     bind_symbol(library, "curl_easy_perform", curl.easy_perform) &&
                     bind_symbol(library, "curl_easy_getinfo", curl.easy_getinfo) &&
                     bind_symbol(library, "curl_easy_reset", curl.easy_reset) &&
                     bind_symbol(library, "curl_slist_append", curl.slist_append) &&
                     bind_symbol(library, "curl_slist_free_all", curl.slist_free_all);
  if (!bound || version_info(CURLVERSION_NOW)->version_num < kOldestCurl ||
      global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    return Error{Error::Code::kUnimplemented, std::string{kCurlName} + " is older than 7.85"};
  }
  return curl;
}

}  // namespace

Result<const CurlLibrary*> CurlLibrary::get() {
  static const Result<CurlLibrary> loaded = load_curl();
  if (!loaded) {
    return loaded.error();
  }
  return &*loaded;
}

}  // namespace skerry::agent
