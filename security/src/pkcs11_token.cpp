#include "pkcs11_token.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <openssl/rand.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

namespace skerry::security {

namespace {

constexpr std::size_t kMaxTokenObjects = 1024;
constexpr std::size_t kKeyIdSize = 16;
// prime256v1 as an ASN.1 object identifier (RFC 5480, 2.1.1.1).
constexpr std::array<CK_BYTE, 10> kP256{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

using UriPtr = std::unique_ptr<P11KitUri, OpensslDelete<p11_kit_uri_free>>;

Error token_error(const Pkcs11Place& place, std::string_view what, CK_RV code) {
  auto kind = Error::Code::kKeyInvalid;
  if (code == CKR_PIN_INCORRECT || code == CKR_PIN_LOCKED || code == CKR_USER_NOT_LOGGED_IN) {
    kind = Error::Code::kPermissionDenied;
  }
  return Error{kind,
               place.uri + ": " + std::string{what} + ": " + p11_kit_strerror(code) +
                   (place.pin.text().empty() ? " (no pin-source is given)" : "")};
}

Result<UriPtr> parse_uri(const std::string& text) {
  UriPtr uri{p11_kit_uri_new()};
  const int code = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri.get());
  if (code != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(uri.get()) != 0) {
    return Error{Error::Code::kInvalidArgument,
                 text + ": no PKCS#11 URI (RFC 7512), such as pkcs11:token=ceremony;object=root1"};
  }
  return uri;
}

// Modules stay loaded until the process ends: OpenSSL's engine uses the same ones.
Result<CK_FUNCTION_LIST*> load_module(const std::string& path) {
  static std::mutex guard;
  static std::map<std::string, CK_FUNCTION_LIST*> loaded;
  const std::lock_guard lock{guard};
  CK_FUNCTION_LIST*& module = loaded[path];
  if (module == nullptr) {
    CK_FUNCTION_LIST* fresh = p11_kit_module_load(path.c_str(), 0);
    if (fresh == nullptr || p11_kit_module_initialize(fresh) != CKR_OK) {
      const char* reason = p11_kit_message();
      return Error{
          Error::Code::kUnavailable,
          "PKCS#11 module " + path + ": " + (reason == nullptr ? "does not load" : reason)};
    }
    module = fresh;
  }
  return module;
}

class Session {
 public:
  // A session on the one token that the URI matches, logged in if there is a PIN.
  static Result<Session> open(const Pkcs11Place& place, P11KitUri* uri, bool writes) {
    const auto module = load_module(place.module);
    if (!module) {
      return module.error();
    }
    CK_FUNCTION_LIST* calls = *module;
    std::array<CK_SLOT_ID, 64> slots{};
    CK_ULONG count = slots.size();
    if (const CK_RV code = calls->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK) {
      return token_error(place, "listing the slots", code);
    }
    for (CK_ULONG i = 0; i < count; ++i) {
      CK_TOKEN_INFO info{};
      if (calls->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
          p11_kit_uri_match_token_info(uri, &info) == 0) {
        continue;
      }
      CK_SESSION_HANDLE handle = 0;
      const CK_FLAGS flags = CKF_SERIAL_SESSION | (writes ? CKF_RW_SESSION : 0U);
      if (const CK_RV code = calls->C_OpenSession(slots[i], flags, nullptr, nullptr, &handle);
          code != CKR_OK) {
        return token_error(place, "opening a session", code);
      }
      Session session{calls, handle, info};
      if (!place.pin.text().empty()) {
        std::string pin = place.pin.text();
        const CK_RV code = calls->C_Login(
            handle, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size());
        OPENSSL_cleanse(pin.data(), pin.size());
        if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) {
          return token_error(place, "logging in", code);
        }
      }
      return session;
    }
    return Error{Error::Code::kNotFound, place.uri + ": the module has no such token"};
  }

  Session(CK_FUNCTION_LIST* calls, CK_SESSION_HANDLE handle, const CK_TOKEN_INFO& token)
      : calls_(calls), handle_(handle), token_(token) {}
  ~Session() {
    if (calls_ != nullptr) {
      calls_->C_CloseSession(handle_);
    }
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&& other) noexcept
      : calls_(std::exchange(other.calls_, nullptr)),
        handle_(other.handle_),
        token_(other.token_) {}
  Session& operator=(Session&&) = delete;

  [[nodiscard]] CK_TOKEN_INFO& token() { return token_; }

  Result<std::vector<CK_OBJECT_HANDLE>> find(const Pkcs11Place& place,
                                             std::vector<CK_ATTRIBUTE> pattern) const {
    std::vector<CK_OBJECT_HANDLE> found(kMaxTokenObjects);
    CK_ULONG count = 0;
    CK_RV code = calls_->C_FindObjectsInit(handle_, pattern.data(), pattern.size());
    if (code == CKR_OK) {
      code = calls_->C_FindObjects(handle_, found.data(), found.size(), &count);
      calls_->C_FindObjectsFinal(handle_);
    }
    if (code != CKR_OK) {
      return token_error(place, "searching", code);
    }
    found.resize(count);
    return found;
  }

  // An attribute's bytes; empty if the object has none.
  [[nodiscard]] Bytes attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
    CK_ATTRIBUTE asked{type, nullptr, 0};
    if (calls_->C_GetAttributeValue(handle_, object, &asked, 1) != CKR_OK ||
        asked.ulValueLen > kMaxTokenObjects) {
      return {};
    }
    Bytes value(asked.ulValueLen);
    asked.pValue = value.data();
    if (calls_->C_GetAttributeValue(handle_, object, &asked, 1) != CKR_OK) {
      return {};
    }
    return value;
  }

  CK_RV make_pair(std::vector<CK_ATTRIBUTE> public_half, std::vector<CK_ATTRIBUTE> private_half) {
    CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_OBJECT_HANDLE public_key = 0;
    CK_OBJECT_HANDLE private_key = 0;
    return calls_->C_GenerateKeyPair(handle_,
                                     &mechanism,
                                     public_half.data(),
                                     public_half.size(),
                                     private_half.data(),
                                     private_half.size(),
                                     &public_key,
                                     &private_key);
  }

 private:
  CK_FUNCTION_LIST* calls_;
  CK_SESSION_HANDLE handle_;
  CK_TOKEN_INFO token_;
};

CK_ATTRIBUTE flag(CK_ATTRIBUTE_TYPE type, const CK_BBOOL& value) {
  return {type, const_cast<CK_BBOOL*>(&value), sizeof value};
}

}  // namespace

Result<Pkcs11Place> Pkcs11Place::parse(FileSystem& fs, const KeyUri& uri) {
  const std::string module = uri.attribute("module-path");
  const std::string source = uri.attribute("pin-source");
  const KeyUri known = *KeyUri::parse("pkcs11:" + uri.path() + "?module-path=" + module +
                                      (source.empty() ? "" : "&pin-source=" + source));
  if (!module.starts_with('/') || !(known == uri)) {
    return Error{Error::Code::kInvalidArgument,
                 uri.to_string() +
                     ": say pkcs11:token=…;object=…?module-path=/path/of/the/module.so[&"
                     "pin-source=/path/of/a/file]"};
  }
  Pkcs11Place place{"pkcs11:" + uri.path(), module, Secret{{}}};
  if (auto parsed = parse_uri(place.uri); !parsed) {
    return parsed.error();
  }
  auto pin = passphrase_of(fs, uri, "pin-source");
  if (!pin) {
    return std::move(pin).error();
  }
  return Pkcs11Place{std::move(place.uri), std::move(place.module), std::move(*pin)};
}

Result<void> make_token_key(const Pkcs11Place& place) {
  auto uri = parse_uri(place.uri);
  if (!uri) {
    return uri.error();
  }
  const CK_ATTRIBUTE* label = p11_kit_uri_get_attribute(uri->get(), CKA_LABEL);
  if (label == nullptr || label->ulValueLen == 0) {
    return Error{Error::Code::kInvalidArgument,
                 place.uri + ": a new key needs a name: object=<label>"};
  }
  auto session = Session::open(place, uri->get(), true);
  if (!session) {
    return session.error();
  }
  CK_OBJECT_CLASS private_class = CKO_PRIVATE_KEY;
  const auto taken =
      session->find(place, {CK_ATTRIBUTE{CKA_CLASS, &private_class, sizeof private_class}, *label});
  if (!taken) {
    return taken.error();
  }
  if (!taken->empty()) {
    return Error{Error::Code::kAlreadyExists, place.uri + ": the token has a key of this name"};
  }
  std::array<CK_BYTE, kKeyIdSize> fresh{};
  CK_ATTRIBUTE id{CKA_ID, fresh.data(), fresh.size()};
  if (const CK_ATTRIBUTE* given = p11_kit_uri_get_attribute(uri->get(), CKA_ID)) {
    id = *given;
  } else if (RAND_bytes(fresh.data(), static_cast<int>(fresh.size())) != 1) {
    return openssl_error(Error::Code::kInternal, "making a key id");
  }
  constexpr CK_BBOOL kYes = CK_TRUE;
  constexpr CK_BBOOL kNo = CK_FALSE;
  auto curve = kP256;
  const CK_RV code = session->make_pair({flag(CKA_TOKEN, kYes),
                                         flag(CKA_VERIFY, kYes),
                                         {CKA_EC_PARAMS, curve.data(), curve.size()},
                                         *label,
                                         id},
                                        {flag(CKA_TOKEN, kYes),
                                         flag(CKA_PRIVATE, kYes),
                                         flag(CKA_SENSITIVE, kYes),
                                         flag(CKA_EXTRACTABLE, kNo),
                                         flag(CKA_SIGN, kYes),
                                         *label,
                                         id});
  return code == CKR_OK ? Result<void>{} : token_error(place, "making a key", code);
}

Result<std::vector<std::string>> list_token(const Pkcs11Place& place) {
  auto uri = parse_uri(place.uri);
  if (!uri) {
    return uri.error();
  }
  auto session = Session::open(place, uri->get(), false);
  if (!session) {
    return session.error();
  }
  CK_OBJECT_CLASS private_class = CKO_PRIVATE_KEY;
  CK_KEY_TYPE type = CKK_EC;
  const auto objects = session->find(place,
                                     {CK_ATTRIBUTE{CKA_CLASS, &private_class, sizeof private_class},
                                      CK_ATTRIBUTE{CKA_KEY_TYPE, &type, sizeof type}});
  if (!objects) {
    return objects.error();
  }
  std::vector<std::string> names;
  names.reserve(objects->size());
  for (const CK_OBJECT_HANDLE object : *objects) {
    Bytes label = session->attribute(object, CKA_LABEL);
    CK_ATTRIBUTE named{CKA_LABEL, label.data(), label.size()};
    const UriPtr found{p11_kit_uri_new()};
    p11_kit_uri_set_attribute(found.get(), &named);
    auto* token = p11_kit_uri_get_token_info(found.get());
    std::copy(std::begin(session->token().label),
              std::end(session->token().label),
              std::begin(token->label));
    char* text = nullptr;
    if (p11_kit_uri_format(found.get(), P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) == P11_KIT_URI_OK) {
      names.emplace_back(text);
      std::free(text);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace skerry::security
