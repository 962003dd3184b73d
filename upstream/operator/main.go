// An operator as people write them with controller-runtime: a kind in two versions with a conversion webhook, defaulting and
// validating webhooks, a controller with owner references, a finalizer and status, and leader election. It installs what it needs as
// envtest does, in the cluster that KUBECONFIG names.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const finalizer = group + "/wash-up"

type reconciler struct{ client.Client }

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cake := &Cake{}
	if err := r.Get(ctx, request.NamespacedName, cake); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !cake.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.washUp(ctx, cake)
	}
	if controllerutil.AddFinalizer(cake, finalizer) {
		if err := r.Update(ctx, cake); err != nil {
			return ctrl.Result{}, err
		}
	}
	recipe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: cake.Name + "-recipe", Namespace: cake.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, recipe, func() error {
		recipe.Data = map[string]string{"flavor": cake.Spec.Flavor, "tiers": fmt.Sprint(cake.Spec.Tiers)}
		return controllerutil.SetControllerReference(cake, recipe, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	cake.Status.Phase = "Baked"
	cake.Status.ObservedGeneration = cake.Generation
	ready := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Baked", ObservedGeneration: cake.Generation}
	meta.SetStatusCondition(&cake.Status.Conditions, ready)
	return ctrl.Result{}, r.Status().Update(ctx, cake)
}

// What is left of a cake, so that its end can be seen from outside.
func (r *reconciler) washUp(ctx context.Context, cake *Cake) error {
	if !controllerutil.ContainsFinalizer(cake, finalizer) {
		return nil
	}
	crumbs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: cake.Name + "-crumbs", Namespace: cake.Namespace}}
	if err := r.Create(ctx, crumbs); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	controllerutil.RemoveFinalizer(cake, finalizer)
	return r.Update(ctx, cake)
}

type judge struct{}

func (judge) Default(_ context.Context, cake *Cake) error {
	if cake.Spec.Tiers == 0 {
		cake.Spec.Tiers = 3
	}
	return nil
}

func (judge) ValidateCreate(_ context.Context, cake *Cake) (admission.Warnings, error) {
	if cake.Spec.Tiers > 10 {
		return nil, fmt.Errorf("a cake of %d tiers falls over", cake.Spec.Tiers)
	}
	if cake.Spec.Tiers > 5 {
		return admission.Warnings{"that is a high cake"}, nil
	}
	return nil, nil
}

func (j judge) ValidateUpdate(ctx context.Context, old, cake *Cake) (admission.Warnings, error) {
	if old.Spec.Flavor != cake.Spec.Flavor {
		return nil, fmt.Errorf("the flavor of a cake cannot change")
	}
	return j.ValidateCreate(ctx, cake)
}

func (judge) ValidateDelete(_ context.Context, cake *Cake) (admission.Warnings, error) {
	if cake.Annotations["keep"] != "" {
		return nil, fmt.Errorf("the cake is kept")
	}
	return nil, nil
}

func version(name string, isStored bool, text, number string) apiextensionsv1.CustomResourceDefinitionVersion {
	keep := true
	spec := apiextensionsv1.JSONSchemaProps{
		Type: "object", Required: []string{text},
		Properties: map[string]apiextensionsv1.JSONSchemaProps{text: {Type: "string"}, number: {Type: "integer"}},
	}
	status := apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &keep}
	return apiextensionsv1.CustomResourceDefinitionVersion{
		Name: name, Served: true, Storage: isStored,
		Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
		Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
			Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": spec, "status": status},
		}},
	}
}

func definition() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "cakes." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "cakes", Kind: "Cake"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{
				version("v1", true, "flavor", "tiers"), version("v1beta1", false, "taste", "layers"),
			},
		},
	}
}

// The paths are those that controller-runtime serves the kind's webhooks at.
func webhooks() envtest.WebhookInstallOptions {
	none, fail := admissionv1.SideEffectClassNone, admissionv1.Fail
	at := func(path string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Path: &path}}
	}
	rules := func(operations ...admissionv1.OperationType) []admissionv1.RuleWithOperations {
		rule := admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{"cakes"}}
		return []admissionv1.RuleWithOperations{{Operations: operations, Rule: rule}}
	}
	return envtest.WebhookInstallOptions{
		MutatingWebhooks: []*admissionv1.MutatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "default." + group},
			Webhooks: []admissionv1.MutatingWebhook{{
				Name: "default." + group, ClientConfig: at("/mutate-bakery-test-v1-cake"), SideEffects: &none, FailurePolicy: &fail,
				AdmissionReviewVersions: []string{"v1"}, Rules: rules(admissionv1.Create, admissionv1.Update),
			}},
		}},
		ValidatingWebhooks: []*admissionv1.ValidatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "validate." + group},
			Webhooks: []admissionv1.ValidatingWebhook{{
				Name: "validate." + group, ClientConfig: at("/validate-bakery-test-v1-cake"), SideEffects: &none, FailurePolicy: &fail,
				AdmissionReviewVersions: []string{"v1"}, Rules: rules(admissionv1.Create, admissionv1.Update, admissionv1.Delete),
			}},
		}},
	}
}

func run() error {
	ctrl.SetLogger(zap.New())
	addKinds(scheme.Scheme)
	if err := apiextensionsv1.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	config := ctrl.GetConfigOrDie()
	existing := true
	environment := &envtest.Environment{
		UseExistingCluster: &existing, Config: config, Scheme: scheme.Scheme,
		CRDInstallOptions:     envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{definition()}, Scheme: scheme.Scheme},
		WebhookInstallOptions: webhooks(),
	}
	if _, err := environment.Start(); err != nil {
		return err
	}
	serving := environment.WebhookInstallOptions
	lease, renew, retry := 4*time.Second, 3*time.Second, time.Second
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme.Scheme, Metrics: server.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: group, LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: serving.LocalServingHost, Port: serving.LocalServingPort, CertDir: serving.LocalServingCertDir,
		}),
	})
	if err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(manager).For(&Cake{}).Owns(&corev1.ConfigMap{}).Complete(&reconciler{manager.GetClient()}); err != nil {
		return err
	}
	if err := ctrl.NewWebhookManagedBy(manager, &Cake{}).WithDefaulter(judge{}).WithValidator(judge{}).Complete(); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
