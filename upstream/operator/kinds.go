package main

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
)

const group = "bakery.test"

// Cake is the kind in its stored version, v1.
type Cake struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              CakeSpec   `json:"spec"`
	Status            CakeStatus `json:"status,omitzero"`
}

type CakeSpec struct {
	Flavor string `json:"flavor"`
	Tiers  int    `json:"tiers,omitempty"`
}

type CakeStatus struct {
	Phase              string             `json:"phase,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// OldCake is the same in v1beta1, where the fields had other names.
type OldCake struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              OldCakeSpec `json:"spec"`
	Status            CakeStatus  `json:"status,omitzero"`
}

type OldCakeSpec struct {
	Taste  string `json:"taste"`
	Layers int    `json:"layers,omitempty"`
}

type CakeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []Cake `json:"items"`
}

type OldCakeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []OldCake `json:"items"`
}

func (*Cake) Hub() {}

func (old *OldCake) ConvertTo(hub conversion.Hub) error {
	cake := hub.(*Cake)
	cake.ObjectMeta, cake.Status = old.ObjectMeta, old.Status
	cake.Spec = CakeSpec{Flavor: old.Spec.Taste, Tiers: old.Spec.Layers}
	return nil
}

func (old *OldCake) ConvertFrom(hub conversion.Hub) error {
	cake := hub.(*Cake)
	old.ObjectMeta, old.Status = cake.ObjectMeta, cake.Status
	old.Spec = OldCakeSpec{Taste: cake.Spec.Flavor, Layers: cake.Spec.Tiers}
	return nil
}

// Copies go by JSON: these objects are small and few.
func copied[T any](from *T) *T {
	text, err := json.Marshal(from)
	if err != nil {
		panic(err)
	}
	to := new(T)
	if err := json.Unmarshal(text, to); err != nil {
		panic(err)
	}
	return to
}

func (c *Cake) DeepCopyObject() runtime.Object        { return copied(c) }
func (c *OldCake) DeepCopyObject() runtime.Object     { return copied(c) }
func (l *CakeList) DeepCopyObject() runtime.Object    { return copied(l) }
func (l *OldCakeList) DeepCopyObject() runtime.Object { return copied(l) }

func addKinds(scheme *runtime.Scheme) {
	for version, kinds := range map[string][2]runtime.Object{"v1": {&Cake{}, &CakeList{}}, "v1beta1": {&OldCake{}, &OldCakeList{}}} {
		gv := schema.GroupVersion{Group: group, Version: version}
		scheme.AddKnownTypeWithName(gv.WithKind("Cake"), kinds[0])
		scheme.AddKnownTypeWithName(gv.WithKind("CakeList"), kinds[1])
		metav1.AddToGroupVersion(scheme, gv)
	}
}
