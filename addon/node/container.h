/// \file
/// The JavaScript object of a container, and the functions that create or find one.
#pragma once

#include <napi.h>

#include <memory>

namespace tare::node {

class Handle;

class ContainerObject : public Napi::ObjectWrap<ContainerObject> {
 public:
  static Napi::Function define(Napi::Env env);
  /// Exports create(), open(), list(), ….
  static void export_functions(Napi::Env env, Napi::Object exports);

  explicit ContainerObject(const Napi::CallbackInfo& info);
  ContainerObject(const ContainerObject&) = delete;
  ContainerObject& operator=(const ContainerObject&) = delete;
  /// Hangs up the terminal: the end of a worker thread leaves no master of its terminals open.
  ~ContainerObject() override;

 private:
  static Napi::Object make(Napi::Env env, std::shared_ptr<Handle> handle);
  static Napi::Value create(const Napi::CallbackInfo& info);
  static Napi::Value prepare(const Napi::CallbackInfo& info);
  static Napi::Value run(const Napi::CallbackInfo& info);
  static Napi::Value cancel_create(const Napi::CallbackInfo& info);
  static Napi::Value open(const Napi::CallbackInfo& info);
  static Napi::Value list(const Napi::CallbackInfo& info);
  static Napi::Value default_root(const Napi::CallbackInfo& info);
  static Napi::Value subordinate_mappings(const Napi::CallbackInfo& info);
  static Napi::Value remove_orphans(const Napi::CallbackInfo& info);
  static Napi::Value validate(const Napi::CallbackInfo& info);

  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value kill(const Napi::CallbackInfo& info);
  Napi::Value pause(const Napi::CallbackInfo& info);
  Napi::Value resume(const Napi::CallbackInfo& info);
  Napi::Value remove(const Napi::CallbackInfo& info);
  Napi::Value exec(const Napi::CallbackInfo& info);
  Napi::Value processes(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value watch(const Napi::CallbackInfo& info);
  Napi::Value wait(const Napi::CallbackInfo& info);
  Napi::Value take_console(const Napi::CallbackInfo& info);
  Napi::Value hang_up(const Napi::CallbackInfo& info);
  Napi::Value ended(const Napi::CallbackInfo& info);
  Napi::Value end(const Napi::CallbackInfo& info);

  std::shared_ptr<Handle> handle_;
};

}  // namespace tare::node
