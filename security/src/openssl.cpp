#include "openssl.hpp"

namespace skerry::security {

Error openssl_error(Error::Code code, std::string_view what) {
  const unsigned long number = ERR_get_error();
  ERR_clear_error();
  std::string message{what};
  const char* reason = number == 0 ? nullptr : ERR_reason_error_string(number);
  if (reason != nullptr) {
    message += ": ";
    message += reason;
  }
  return Error{code, std::move(message)};
}

BioPtr read_bio(std::string_view text) {
  return BioPtr{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

BioPtr write_bio() {
  return BioPtr{BIO_new(BIO_s_mem())};
}

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string{};
}

}  // namespace skerry::security
