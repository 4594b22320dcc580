// skerry keys create|list|export: signing keys of people and machines, named by URI.

#include <algorithm>

#include <fmt/format.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/security/signer.hpp"

#include "commands.hpp"
#include "invocation.hpp"

namespace skerry::cli {
namespace {

struct KeyCreateOptions {
  std::string uri;
  std::string algorithm = "ed25519";
};

Json describe(const std::string& where, const security::PublicKey& key) {
  return Json{Json::Object{{"uri", where},
                           {"algorithm", security::to_string(key.algorithm())},
                           {"key_id", key.key_id()},
                           {"spki_sha256", key.spki_digest().hex()}}};
}

Result<int> run_key_create(Invocation& invocation, const KeyCreateOptions& options) {
  const auto uri = key_uri(options.uri);
  if (!uri) {
    return uri.error();
  }
  const auto algorithm = security::parse_key_algorithm(options.algorithm);
  if (!algorithm) {
    return algorithm.error();
  }
  if (uri->scheme() == "file") {
    const auto folder = std::filesystem::path{uri->path()}.parent_path();
    if (!invocation.fs.exists(folder)) {
      if (auto made = invocation.fs.create_directories(folder, 0700); !made) {
        return made.error();
      }
    }
  }
  const auto signer = security::create_key(invocation.fs, *uri, *algorithm);
  if (!signer) {
    return signer.error();
  }
  const security::PublicKey& key = (*signer)->public_key();
  if (invocation.json) {
    invocation.console.print_json(describe(uri->to_string(), key));
  } else {
    invocation.console.line(fmt::format(
        "{}  {}  {}", key.key_id(), security::to_string(key.algorithm()), uri->to_string()));
  }
  return kExitDone;
}

struct ListOptions {
  std::string folder = ".";
};

Result<int> print_keys(Invocation& invocation, Json::Array list, const Table& table) {
  if (invocation.json) {
    invocation.console.print_json(Json{std::move(list)});
  } else {
    invocation.console.print(table.text());
  }
  return kExitDone;
}

Result<int> list_token(Invocation& invocation, const std::string& text) {
  const auto token = key_uri(text);
  if (!token) {
    return token.error();
  }
  const auto uris = security::list_token_keys(invocation.fs, *token);
  if (!uris) {
    return uris.error();
  }
  Table table{{"key", "algorithm", "key id"}};
  Json::Array list;
  for (const auto& uri : *uris) {
    const auto key = load_public_key(invocation.fs, uri.to_string());
    if (!key) {
      invocation.console.note(uri.to_string() + ": " + key.error().to_string());
      continue;
    }
    table.add({"pkcs11:" + uri.path(), std::string{to_string(key->algorithm())}, key->key_id()});
    list.push_back(describe(uri.to_string(), *key));
  }
  return print_keys(invocation, std::move(list), table);
}

Result<int> run_key_list(Invocation& invocation, const ListOptions& options) {
  if (options.folder.starts_with("pkcs11:")) {
    return list_token(invocation, options.folder);
  }
  const auto names = invocation.fs.list(options.folder);
  if (!names) {
    return names.error();
  }
  Table table{{"file", "algorithm", "key id"}};
  Json::Array list;
  for (const std::string& name : *names) {
    const auto path = std::filesystem::path{options.folder} / name;
    const auto status = invocation.fs.status(path);
    const bool wrapped = path.extension() == ".tss";
    if (!status || status->is_directory || (path.extension() != ".pem" && !wrapped)) {
      continue;
    }
    const auto key =
        load_public_key(invocation.fs, wrapped ? "tpm:" + absolute(path).string() : path.string());
    if (!key) {
      invocation.console.note(path.string() + ": " + key.error().to_string());
      continue;
    }
    table.add({name, std::string{security::to_string(key->algorithm())}, key->key_id()});
    list.push_back(describe(path.string(), *key));
  }
  return print_keys(invocation, std::move(list), table);
}

struct KeyExportOptions {
  std::string uri;
  std::string format = "pem";
};

Result<int> run_key_export(Invocation& invocation, const KeyExportOptions& options) {
  const auto key = load_public_key(invocation.fs, options.uri);
  if (!key) {
    return key.error();
  }
  if (options.format == "tuf") {
    invocation.console.line(key->to_tuf_json().dump());
  } else if (options.format == "id") {
    invocation.console.line(key->key_id());
  } else {
    invocation.console.print(key->pem());
  }
  return kExitDone;
}

}  // namespace

void add_keys_command(Command& app, Invocation& invocation) {
  Command* keys = app.add_subcommand("keys", "signing keys");
  keys->require_subcommand(1);
  Command* create = keys->add_subcommand("create", "make a key; never overwrites one");
  const auto create_options = add_action<KeyCreateOptions>(create, invocation, run_key_create);
  create
      ->add_option("uri",
                   create_options->uri,
                   "a path, file:/path[?passphrase-file=/path], tpm:/path/key.tss, or "
                   "pkcs11:token=t;object=o?module-path=/lib.so&pin-source=/path")
      ->required();
  create->add_option("--algorithm", create_options->algorithm, "ed25519 or ecdsa-p256")
      ->show_default();
  Command* list =
      keys->add_subcommand("list", "the keys in a folder (.pem, .tss) or on a PKCS#11 token");
  const auto list_options = add_action<ListOptions>(list, invocation, run_key_list);
  list->add_option("where", list_options->folder, "a folder, or the pkcs11: URI of a token")
      ->show_default();
  Command* save = keys->add_subcommand("export", "print the public half");
  const auto export_options = add_action<KeyExportOptions>(save, invocation, run_key_export);
  save->add_option("uri", export_options->uri, "key URI or path")->required();
  save->add_option("--format", export_options->format, "")
      ->one_of({"pem", "tuf", "id"})
      ->show_default();
}

}  // namespace skerry::cli
