#pragma once

// libcurl, loaded when the first HTTPS source or peer is asked: a gateway that has none pays
// neither the memory nor the start of a library with fifteen dependencies. Loaded once, never
// unloaded.

#include <curl/curl.h>

#include "skerry/common/result.hpp"

namespace skerry::agent {

struct CurlLibrary {
  decltype(&curl_easy_init) easy_init = nullptr;
  decltype(&curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&curl_easy_setopt) easy_setopt = nullptr;
  decltype(&curl_easy_perform) easy_perform = nullptr;
  decltype(&curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&curl_easy_reset) easy_reset = nullptr;
  decltype(&curl_slist_append) slist_append = nullptr;
  decltype(&curl_slist_free_all) slist_free_all = nullptr;

  // kUnimplemented if it is not installed or too old (7.85). Thread-safe.
  static Result<const CurlLibrary*> get();
};

}  // namespace skerry::agent
